package cli

import (
	"slices"

	"github.com/alecthomas/kong"
	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/complete"
)

// completionCmd is `systemgemma completion SHELL`.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish,powershell" help:"bash, zsh, fish or powershell."`
}

// Help is the end of the help text.
func (*completionCmd) Help() string {
	return `For the shell that you are in:

  source <(systemgemma completion bash)                                  # bash 4 or later
  source <(systemgemma completion zsh)                                   # zsh, after compinit
  systemgemma completion fish | source
  systemgemma completion powershell | Out-String | Invoke-Expression

For all later ones, see the first lines of what it writes. The deb and rpm packages install it.
`
}

// Run writes the script.
func (c *completionCmd) Run(env *Env) error {
	text, err := complete.Script(c.Shell)
	if err != nil {
		return err
	}
	return write(env.Stdout, text)
}

// completeCmd is what the scripts ask.
type completeCmd struct {
	Current string   `help:"The word to complete."`
	Words   []string `arg:"" optional:"" passthrough:"" help:"The words before it, after --."`
}

// Run writes what may stand there.
func (c *completeCmd) Run(env *Env, k *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	return complete.Write(env.Stdout, complete.Line(k.Model, words, c.Current))
}

// Choices are the presets.
func (preset) Choices() []string {
	var names []string
	for _, p := range systemgemma.Presets() {
		names = append(names, string(p))
	}
	return names
}

// Choices are the number types of cached keys and values.
func (kvType) Choices() []string { return []string{"f32", "f16", "int8"} }

// weightType is the name of a kind of weights, which the library checks.
type weightType string

// Choices are those without a number in their name.
func (weightType) Choices() []string { return slices.Clone(systemgemma.WeightTypes()) }

// fileFormat is what convert makes, which the library checks.
type fileFormat string

// Choices are our own format and those of other programs.
func (fileFormat) Choices() []string {
	return []string{systemgemma.FormatOwn, systemgemma.FormatGGUF, systemgemma.FormatSafetensors, systemgemma.FormatCompressed}
}
