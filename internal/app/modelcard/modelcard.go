// Package modelcard writes the README of a model for a hub, from what the model's files say about themselves.
//
// It must not know how a hub is asked, nor how a command talks to its user.
package modelcard

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
	"github.com/systemgemma/systemgemma/internal/app/figures"
)

//go:embed card.md
var cardSource string

var card = template.Must(template.New("card").Funcs(template.FuncMap{
	"size": figures.Size, "percent": figures.Percent, "cell": cell, "yaml": yamlText, "number": func(x float64) string { return fmt.Sprintf("%.3g", x) },
}).Parse(cardSource))

// data is what a card says of the files of a conversion.
type data struct {
	Name    string
	Base    string // as the Hub names it; "": not known
	License string // as the Hub names it; "": Gemma's
	// OtherLicense names one that the Hub has no name for.
	OtherLicense string
	Tags         []string
	Files        []file
	Facts        [][2]string // provenance of the first file: name and value
	Notes        []string
	Rounded      bool // some weights take fewer than 16 bits
	Measured     bool
}

type file struct {
	systemgemma.ConvertedFile
	Base   string // the file's name without folder
	SHA256 string
	Rows   []figures.Row
	Mean   float64 // error of the tensors
	Worst  systemgemma.TensorQuality
}

// Write writes a README for the Hub about files that were just made, from what they say about themselves.
func Write(path string, r *systemgemma.ConvertResult) error {
	var d data
	for i, f := range r.Files {
		info, err := systemgemma.Describe(f.Path, nil)
		if err != nil {
			return err
		}
		if i == 0 {
			d.describe(&info)
		}
		x, err := newFile(f)
		if err != nil {
			return err
		}
		d.Tags = append(d.Tags, f.Type)
		d.Rounded = d.Rounded || f.WeightBytes < 2*info.Parameters
		d.Measured = d.Measured || f.Quality != nil
		d.Files = append(d.Files, x)
	}
	d.Notes = r.Warnings
	return wholefile.Write(path, 0o666, func(w io.Writer) error { return card.Execute(w, &d) })
}

// One writes the README of one file of the product's own format, called name there, from what it says about itself.
func One(w io.Writer, name, path string, info *systemgemma.Info) error {
	var d data
	d.describe(info)
	f := systemgemma.ConvertedFile{
		Path: path, Type: info.Metadata["systemgemma.provenance.type"], Bytes: info.Bytes, WeightBytes: info.Bytes, Quality: info.Quality,
	}
	if stat, err := os.Stat(path); err == nil {
		f.Bytes = stat.Size()
	}
	if c := info.Config; c != nil {
		f.Context, f.KVBytes = c.MaxPositions, kvBytes(c)
	}
	x, err := newFile(f)
	if err != nil {
		return err
	}
	x.Base = name
	d.Tags = append(d.Tags, f.Type)
	d.Rounded, d.Measured = f.WeightBytes < 2*info.Parameters, f.Quality != nil
	d.Files = []file{x}
	return card.Execute(w, &d)
}

// kvBytes is what keys and values of a full context take as float16: sliding layers keep their window only.
func kvBytes(c *systemgemma.Config) (n int64) {
	for _, kind := range c.LayerTypes {
		positions := c.MaxPositions
		if kind != "full_attention" {
			positions = min(positions, c.SlidingWindow)
		}
		n += int64(positions) * int64(c.NumKVHeads) * int64(c.HeadDim) * 2 * 2
	}
	return n
}

var (
	hubID     = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	gemmaName = regexp.MustCompile(`^gemma-2-(2b|9b|27b)(-it)?$`) // what Google's folders on the Hub are called
)

// hubLicenses are licences that the Hub knows besides gemma, as far as models of this kind have them.
var hubLicenses = []string{"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0"}

// describe takes what all files have in common.
func (d *data) describe(i *systemgemma.Info) {
	const prefix = "systemgemma.provenance."
	d.Name = strings.ReplaceAll(i.Metadata["general.name"], "\n", " ")
	switch base := i.Metadata[prefix+"base"]; {
	case hubID.MatchString(base):
		d.Base = base
	case gemmaName.MatchString(base):
		d.Base = "google/" + base
	}
	switch l := i.Metadata[prefix+"license"]; {
	case slices.Contains(hubLicenses, strings.ToLower(l)):
		d.License = strings.ToLower(l)
	case l != "" && !strings.HasPrefix(strings.ToLower(l), "gemma"):
		d.License, d.OtherLicense = "other", l
	}
	d.Tags = []string{"gemma2", "gguf", "systemgemma", "system-prompt"}
	for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
		if name, ok := strings.CutPrefix(key, prefix); ok && name != "type" && name != "weights" {
			d.Facts = append(d.Facts, [2]string{strings.ReplaceAll(name, "_", " "), i.Metadata[key]})
		}
	}
	d.Facts = append(d.Facts, [2]string{"system prompts", i.SystemMode})
}

func newFile(f systemgemma.ConvertedFile) (x file, err error) {
	x = file{ConvertedFile: f, Base: filepath.Base(f.Path)}
	if x.SHA256, err = digest(f.Path); err != nil || f.Quality == nil {
		return x, err
	}
	x.Rows = figures.Rows(f.Quality)
	if list := f.Quality.Tensors; len(list) > 0 {
		x.Mean, x.Worst = figures.MeanError(list), figures.Worst(list)
	}
	return x, nil
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// cell is text of a file as a cell of a Markdown table: it can't leave the cell, and no markup comes of it.
func cell(s string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", "; ", "\r", " ", "<", "&lt;", ">", "&gt;", "[", "\\[", "]", "\\]", "`", "\\`", "*", "\\*", "_", "\\_").Replace(s)
}

// yamlText is text as a YAML string: JSON's are.
func yamlText(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}
