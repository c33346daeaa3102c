package template

import "fmt"

// probes are conversations whose renderings tell the modes apart.
var probes = [][]Message{
	{{"system", "Sys tem"}, {"user", "One"}, {"assistant", "Two"}, {"user", "Three"}},
	{{"system", "Sys tem"}, {"user", "One"}},
}

var plain = []Message{{"user", "One"}, {"assistant", "Two"}, {"user", "Three"}}

// Detect finds the mode of a file's chat template, and says why. It runs the template on a few made-up conversations; the
// prompts of real ones always come from the built-in mode, which loses and refuses nothing. A template like no built-in mode,
// or that refuses system messages as Google's does, gives merge.
func Detect(source string) (Mode, string) {
	if source == "" {
		return Merge, "the file has no chat template; merge is what Google advises"
	}
	c, err := ParseCustom(source)
	if err != nil {
		return Merge, fmt.Sprintf("the file's chat template can't be read (%v); merge is what Google advises", err)
	}
	for _, m := range modes {
		if m != UserTemplate && m != Auto && m != Strict && c.renders(m, probes...) {
			return m, "the file's chat template renders as this mode does"
		}
	}
	if _, err := c.Render(probes[0], Options{}); err != nil && c.renders(Merge, plain) {
		return Merge, fmt.Sprintf("the file's chat template refuses system messages (%v); merge is what Google advises", err)
	}
	return Merge, "the file's chat template is like no built-in mode; merge is what Google advises, and --template runs the file's own"
}

// renders says whether the template renders every conversation as a built-in mode does.
func (c *Custom) renders(mode Mode, conversations ...[]Message) bool {
	for _, messages := range conversations {
		for _, o := range []Options{{}, {AddGenerationPrompt: true}} {
			want, err := Render(mode, messages, o)
			if err != nil {
				return false
			}
			got, err := c.Render(messages, o)
			if err != nil || Text(got) != Text(want) {
				return false
			}
		}
	}
	return true
}
