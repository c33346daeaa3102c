package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
	"github.com/systemgemma/systemgemma/internal/app/figures"
)

//go:embed quality_page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"size": size, "percent": percent, "number": func(x float64) string { return fmt.Sprintf("%.3g", x) },
	"from": func(x, y int) int { return x + y },
}).Parse(pageSource))

// pageFile is a file of a conversion with its chart.
type pageFile struct {
	systemgemma.ConvertedFile
	Rows   []figures.Row
	Bars   []pageBar
	Height int
}

// pageBar is one tensor's bar, in units of the picture.
type pageBar struct {
	systemgemma.TensorQuality
	Y     int
	Width float64
}

// Size of the chart: names on the left, a line of text for each bar.
const (
	barLine = 16
	barMax  = 400.0
)

// writePage makes a page that needs nothing else: tables, and the error of each tensor as a picture.
func writePage(path string, r *systemgemma.ConvertResult) error {
	var files []pageFile
	for _, f := range r.Files {
		if f.Quality == nil {
			continue
		}
		p := pageFile{ConvertedFile: f, Rows: figures.Rows(f.Quality)}
		top := 0.0
		for _, t := range f.Quality.Tensors {
			top = max(top, t.Error)
		}
		for i, t := range f.Quality.Tensors {
			bar := pageBar{TensorQuality: t, Y: i * barLine}
			if top > 0 {
				bar.Width = barMax * t.Error / top
			}
			p.Bars = append(p.Bars, bar)
		}
		p.Height = len(p.Bars) * barLine
		files = append(files, p)
	}
	if files == nil {
		return errors.New("no quality report was made")
	}
	return wholefile.Write(path, 0o666, func(w io.Writer) error { return page.Execute(w, files) })
}
