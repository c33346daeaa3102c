package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
)

// verifyCmd is `systemgemma verify MODEL`.
type verifyCmd struct {
	File string `arg:"" help:"A name of systemgemma list, or a .gguf file that this program wrote."`
	JSON bool   `name:"json" group:"Output" help:"Write path, size and what was compared as JSON."`
}

// Run compares all bytes with their checksums: those in the file, or for a file that was stored as it came the hub's.
func (c *verifyCmd) Run(ctx context.Context, env *Env) error {
	m, err := resolve(env, c.File)
	if err != nil {
		return err
	}
	if m.model == nil && m.bundle == nil && m.path != "" { // a path may be that of a model of the store, whose hash is known
		if abs, err := filepath.Abs(m.path); err == nil {
			if store, err := env.store(); err == nil {
				m.model, _ = store.At(abs) // nil: a file of its own
			}
		}
	}
	var bytes int64
	if m.bundle != nil {
		bytes = m.bundle.Size
	} else if info, err := os.Stat(m.path); err != nil {
		return err
	} else {
		bytes = info.Size()
	}
	status := env.waiting("verifying " + c.File)
	with := "checksums in the file"
	if m.model != nil && m.model.Origin != nil && m.model.Origin.SHA256 != "" {
		with = "SHA-256 of " + m.model.Origin.Hub
		_, err = await(ctx, func() (struct{}, error) {
			return struct{}{}, download.Sum{Kind: "SHA-256", Hex: m.model.Origin.SHA256}.CheckFile(m.path)
		})
	} else {
		err = systemgemma.Verify(ctx, m.path, func(done, total int64) {
			status.Set("verifying %s: %s of %s", c.File, size(done), size(total))
		})
	}
	status.Stop()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if c.JSON {
		return writeJSON(env, struct {
			Path  string `json:"path"`
			Bytes int64  `json:"bytes"`
			With  string `json:"compared_with"`
		}{m.path, bytes, with})
	}
	return write(env.Stdout, fmt.Sprintf("%s: all checksums hold (%s)\n", c.File, size(bytes)))
}
