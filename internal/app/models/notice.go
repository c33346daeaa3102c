package models

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"time"
)

// TermsURL is where Gemma's terms are.
const TermsURL = "https://ai.google.dev/gemma/terms"

//go:embed notice.txt
var notice string

// Notice is what is shown before a model's terms are accepted: a short text that links them, then the repository's own licence file,
// if it has one.
func Notice(model, licence string) string {
	text := "Terms of " + model + "\n\n" + notice
	if licence != "" {
		text += "\nThe repository's own licence:\n\n" + licence
		if licence[len(licence)-1] != '\n' {
			text += "\n"
		}
	}
	return text
}

// Accept is the record that a notice was accepted.
func Accept(model, notice, by string, now time.Time) Licence {
	return Licence{Model: model, URL: TermsURL, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(notice))), Date: now.UTC().Truncate(time.Second), By: by}
}
