package systemgemma

import (
	"github.com/systemgemma/systemgemma/internal/checkpoint"
)

// FormatVersion is the version of the product's own format that this program writes. It reads no newer one; there is no older one.
const FormatVersion = checkpoint.LayoutVersion

// FileVersion is the version of the product's own format that a file has, 0 for files of other formats. It reads the beginning of
// the file only, and also versions that can't be opened.
func FileVersion(path string) (int, error) { return checkpoint.FileVersion(path) }
