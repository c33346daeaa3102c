// Command write writes a synthetic model (`systemgemma bench --synthetic`) to files that other engines read, weight by weight
// the same: go run ./tools/peers/write -shape 2b -format gguf-q8_0|gguf-q4_0|gguf-bf16|hf PATH.
//
// Memory stays small: weights are made while the file grows.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/load"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

// model is what is written.
type model struct {
	shape  string
	config arch.Config
	seed   uint64
	crew   *parallel.Crew
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("write", flag.ContinueOnError)
	flags.SetOutput(stderr)
	shape := flags.String("shape", "tiny", fmt.Sprintf("one of %v", load.Shapes()))
	format := flags.String("format", "", "gguf-q8_0, gguf-q4_0, gguf-bf16 (a file) or hf (a folder)")
	seed := flags.Uint64("seed", 1, "seed of the weights; bench uses 1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want one path to write")
	}
	c, err := load.SyntheticConfig(*shape)
	if err != nil {
		return err
	}
	m := &model{*shape, c, *seed, parallel.New(runtime.GOMAXPROCS(0))}
	defer m.crew.Close()
	if *format == "hf" {
		return m.writeFolder(flags.Arg(0))
	}
	for _, e := range encodings {
		if *format == "gguf-"+e.name {
			return writeFile(flags.Arg(0), func(w io.Writer) error { return m.writeGGUF(w, e) })
		}
	}
	return fmt.Errorf("-format: want gguf-q8_0, gguf-q4_0, gguf-bf16 or hf, found %q", *format)
}

// writeFile makes path under another name first, so that a file with its name is whole.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(write(b), b.Flush(), f.Close())
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+".part"))
	}
	return nil
}

// matrix writes a matrix, row by row in the encoding's blocks.
func (m *model) matrix(w io.Writer, p load.Part, e encoding) error {
	const rows = 64 // a piece
	size := p.Cols / e.columns * e.bytes
	piece := make([]byte, rows*size)
	floats := make([]float32, m.crew.Workers()*p.Cols)
	for first := 0; first < p.Rows; first += rows {
		n := min(rows, p.Rows-first)
		err := m.crew.Run(n, 4, func(worker, lo, hi int) {
			row := floats[worker*p.Cols : (worker+1)*p.Cols]
			for r := lo; r < hi; r++ {
				load.SyntheticRow(row, m.seed, p.Name, first+r)
				for k := 0; k < p.Cols; k += e.columns {
					e.encode(piece[r*size+k/e.columns*e.bytes:][:e.bytes], row[k:k+e.columns])
				}
			}
		})
		if err != nil {
			return err
		}
		if _, err := w.Write(piece[:n*size]); err != nil {
			return err
		}
	}
	return nil
}
