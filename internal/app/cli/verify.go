package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/systemgemma/systemgemma"
)

// verifyCmd is `systemgemma verify FILE`.
type verifyCmd struct {
	File string `arg:"" help:"A .gguf file that this program wrote."`
}

// Run compares all bytes with their checksums.
func (c *verifyCmd) Run(ctx context.Context, env *Env) error {
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	status := env.waiting("verifying " + c.File)
	err = systemgemma.Verify(ctx, c.File, func(done, total int64) {
		status.Set("verifying %s: %s of %s", c.File, size(done), size(total))
	})
	status.Stop()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return write(env.Stdout, fmt.Sprintf("%s: all checksums hold (%s)\n", c.File, size(info.Size())))
}
