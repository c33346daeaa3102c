package bundle

import (
	"bytes"
	"context"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
)

// maxProgram bounds a program that is to carry a model, in bytes.
const maxProgram = 512 << 20

// fileLimit is the most that windows loads, and that the load commands of darwin can say.
const fileLimit = math.MaxUint32

// Program is a build of this program for some system, ready to be given a model.
type Program struct {
	OS, Arch string
	data     []byte
	mach     *machProgram // darwin only
}

// OpenProgram reads a program. One that could not find a model in itself is refused, as is one that has one.
func OpenProgram(path string) (*Program, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxProgram+1))
	if err == nil && len(data) > maxProgram {
		if b, findErr := Find(path); findErr == nil && b != nil {
			return nil, fmt.Errorf("%s: %w", path, errIsBundle)
		}
		err = fmt.Errorf("want a program of at most %d bytes", maxProgram)
	}
	if err == nil {
		var p *Program
		if p, err = parseProgram(data); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

var errIsBundle = errors.New("want a program without a model, found one that has a model inside; give the plain program (--binary)")

// parseProgram looks at the bytes of a program.
func parseProgram(data []byte) (p *Program, err error) {
	p = &Program{data: data}
	switch {
	case bytes.HasPrefix(data, []byte(elf.ELFMAG)):
		err = p.parseELF()
	case bytes.HasPrefix(data, []byte("MZ")):
		err = p.parsePE()
	case len(data) >= 4 && binary.LittleEndian.Uint32(data) == machMagic:
		p.OS = "darwin"
		if p.mach, err = parseMach(data); err == nil {
			p.Arch = p.mach.arch
		}
	default:
		err = fmt.Errorf("want a program for linux, darwin or windows on amd64 or arm64, found a file that begins with %.4q", data)
	}
	if err != nil {
		return nil, err
	}
	if b, err := find(bytes.NewReader(data), int64(len(data))); b != nil || err != nil {
		return nil, errIsBundle
	}
	if !bytes.Contains(data, magic) {
		return nil, errors.New("want a systemgemma program that knows bundles, found another program, or an older version")
	}
	return p, nil
}

func (p *Program) parseELF() error {
	f, err := elf.NewFile(bytes.NewReader(p.data))
	if err != nil {
		return err
	}
	arch := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	if arch == "" || f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return fmt.Errorf("want a program for amd64 or arm64, found one for %v", f.Machine)
	}
	p.OS, p.Arch = "linux", arch
	return nil
}

func (p *Program) parsePE() error {
	f, err := pe.NewFile(bytes.NewReader(p.data))
	if err != nil {
		return err
	}
	arch := map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine]
	header, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if arch == "" || !ok {
		return fmt.Errorf("want a program for amd64 or arm64, found one for machine %#x", f.Machine)
	}
	if d := header.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY]; d.Size != 0 {
		return errors.New("want a program without a signature, which would not hold; sign the bundle")
	}
	p.OS, p.Arch = "windows", arch
	return nil
}

// programEnd is where the program proper ends by its own headers: 0 if they don't tell, or if it is one of darwin, whose models
// lie inside.
func programEnd(r io.ReaderAt) (end int64) {
	if f, err := elf.NewFile(r); err == nil {
		for _, s := range f.Sections {
			if s.Type != elf.SHT_NOBITS {
				end = max(end, int64(s.Offset+s.FileSize))
			}
		}
		for _, s := range f.Progs {
			end = max(end, int64(s.Off+s.Filesz))
		}
		return end
	}
	if f, err := pe.NewFile(r); err == nil {
		for _, s := range f.Sections {
			end = max(end, int64(s.Offset)+int64(s.Size))
		}
		if f.PointerToSymbolTable != 0 {
			end = max(end, int64(f.PointerToSymbolTable)+int64(f.NumberOfSymbols)*pe.COFFSymbolSize+int64(len(f.StringTable)))
		}
	}
	return end
}

// Tried says whether bundles for this system are started when this program is tested.
func (p *Program) Tried() bool { return p.OS == "linux" }

// Room is the size of the largest model that fits beside a card, math.MaxInt64 for any.
func (p *Program) Room(c Card) int64 {
	text, err := json.Marshal(c)
	if err != nil {
		return 0
	}
	rest := fileLimit - roundUp(int64(len(p.data)), align) - int64(len(text)) - trailerSize
	switch p.OS {
	case "windows":
		return rest
	case "darwin": // and the pages before, the signature of a 128th, and what is rounded up
		return (rest - 2*align) / 129 * 128
	}
	return math.MaxInt64
}

// Write makes a bundle of the program, size bytes of a model, and a card.
func (p *Program) Write(ctx context.Context, w io.Writer, model io.Reader, size int64, c Card) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(text) > maxCard {
		return fmt.Errorf("want a name and a system prompt of at most %d bytes together, found %d", maxCard, len(text))
	}
	if room := p.Room(c); size <= 0 || size > room {
		return fmt.Errorf("want a model of 1 to %d bytes, found %d", room, size)
	}
	at := roundUp(int64(len(p.data)), align)
	if p.mach != nil {
		at = p.mach.modelOffset()
	}
	t := trailer{uint32(len(text)), uint64(at), uint64(size), crc32.Checksum(text, castagnoli)}
	end := append(text, t.encode()...)
	model = &exactly{&stoppable{ctx, model}, size}
	if p.mach != nil {
		return p.mach.write(w, model, size, end)
	}
	for _, r := range []io.Reader{bytes.NewReader(p.data), zeros(at - int64(len(p.data))), model, bytes.NewReader(end)} {
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
	return nil
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// zeros are n bytes of 0.
func zeros(n int64) io.Reader { return bytes.NewReader(make([]byte, n)) }

// exactly fails if r has fewer or more than the n bytes that are left.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.n -= int64(n)
	switch {
	case e.n < 0 || err == io.EOF && e.n != 0:
		return 0, errors.New("the model changed while it was read; run the command again")
	}
	return n, err
}

// stoppable is a reader that ends with a context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
