package systemgemma

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
)

// sectionPrefix begins the name of a section. A file of such a name is reached by ./ before it.
const sectionPrefix = "section:"

// SectionAlign divides the offset of every section.
const SectionAlign = mmap.SectionAlign

// SectionName names a model that is a part of another file, as a program that carries its model: size bytes from offset on, a
// multiple of SectionAlign, that are a file of the product's own format. Open, and all else that takes a model's name, takes it
// too; the part is mapped, not copied.
func SectionName(path string, offset, size int64) string {
	return fmt.Sprintf("%s%d+%d:%s", sectionPrefix, offset, size, path)
}

// parseSection reads what SectionName wrote.
func parseSection(name string) (path string, offset, size int64, err error) {
	numbers, path, ok := strings.Cut(strings.TrimPrefix(name, sectionPrefix), ":")
	from, length, plus := strings.Cut(numbers, "+")
	if ok && plus && path != "" {
		if offset, err = strconv.ParseInt(from, 10, 64); err == nil {
			size, err = strconv.ParseInt(length, 10, 64)
		}
	}
	if !ok || !plus || path == "" || err != nil {
		return "", 0, 0, fmt.Errorf("model %q: want section:OFFSET+SIZE:PATH (a file of such a name is ./%s)", name, name)
	}
	return path, offset, size, nil
}

// openSection opens the model of such a name.
func openSection(name string) (*checkpoint.Checkpoint, error) {
	path, offset, size, err := parseSection(name)
	if err != nil {
		return nil, err
	}
	return checkpoint.OpenSection(path, offset, size)
}
