package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/macho"
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"testing"
)

// checkSignature reads the signature of a Mach-O file on its own, and hashes every page again. It returns how many there are.
func checkSignature(data []byte, identifier string) (int, error) {
	f, err := macho.NewFile(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	var at, size uint32
	for _, l := range f.Loads {
		raw := l.Raw()
		if f.ByteOrder.Uint32(raw) == 0x1d {
			at, size = f.ByteOrder.Uint32(raw[8:]), f.ByteOrder.Uint32(raw[12:])
		}
	}
	linkedit, text := f.Segment("__LINKEDIT"), f.Segment("__TEXT")
	if at == 0 || uint64(at)+uint64(size) != uint64(len(data)) || linkedit.Offset+linkedit.Filesz != uint64(len(data)) {
		return 0, fmt.Errorf("want the signature at the end, found it at %d, %d bytes", at, size)
	}
	be := binary.BigEndian
	blob := data[at:]
	if be.Uint32(blob) != 0xfade0cc0 || be.Uint32(blob[4:]) > size || be.Uint32(blob[8:]) != 1 || be.Uint32(blob[12:]) != 0 {
		return 0, fmt.Errorf("want a blob of one directory, found % x", blob[:20])
	}
	d := blob[be.Uint32(blob[16:]):be.Uint32(blob[4:])]
	switch {
	case be.Uint32(d) != 0xfade0c02, be.Uint32(d[4:]) != uint32(len(d)), be.Uint32(d[8:]) != 0x20400, be.Uint32(d[12:])&2 == 0:
		return 0, fmt.Errorf("want an ad-hoc directory of version 2.4, found % x", d[:16])
	case be.Uint32(d[24:]) != 0, be.Uint32(d[32:]) != at, d[36] != 32, d[37] != 2:
		return 0, fmt.Errorf("want SHA-256 of all bytes before the signature, found % x", d[24:44])
	case be.Uint64(d[64:]) != text.Offset, be.Uint64(d[72:]) != text.Filesz, be.Uint64(d[80:])&1 != 1:
		return 0, fmt.Errorf("want the bounds of __TEXT, found % x", d[64:88])
	}
	if name := d[be.Uint32(d[20:]):]; !bytes.HasPrefix(name, []byte(identifier+"\x00")) {
		return 0, fmt.Errorf("want identifier %s, found %.20q", identifier, name)
	}
	page := 1 << d[39]
	hashes := d[be.Uint32(d[16:]):]
	n := int(be.Uint32(d[28:]))
	if n != (int(at)+page-1)/page || len(hashes) < n*32 {
		return 0, fmt.Errorf("want a hash for each of %d bytes, found %d", at, n)
	}
	for i := range n {
		sum := sha256.Sum256(data[i*page : min((i+1)*page, int(at))])
		if !bytes.Equal(sum[:], hashes[i*32:(i+1)*32]) {
			return 0, fmt.Errorf("page %d: the hash differs", i)
		}
	}
	return n, nil
}

// A program of darwin keeps all that it had, with a segment and a signature of its own.
func TestDarwin(t *testing.T) {
	for _, c := range [][2]string{{"arm64", "-s -w"}, {"arm64", ""}, {"amd64", "-s -w"}} {
		path := build(t, "darwin", c[0], c[1])
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if c[0] == "arm64" { // the check agrees with the signature of Go's own linker
			if n, err := checkSignature(before, "a.out"); err != nil {
				t.Fatalf("as built: %v", err)
			} else if n < 10 {
				t.Fatalf("as built: %d pages", n)
			}
		}
		p, err := OpenProgram(path)
		if err != nil {
			t.Fatal(err)
		}
		if p.OS != "darwin" || p.Arch != c[0] || p.Tried() {
			t.Errorf("program for %s/%s, tried %v", p.OS, p.Arch, p.Tried())
		}
		for _, n := range []int{300_001, 3} {
			model, card := fakeModel(n), Card{Name: "m", System: "Be kind."}
			after := bundled(t, p, model, card)
			check(t, after, model, card)
			pages, err := checkSignature(after, "systemgemma")
			if err != nil {
				t.Errorf("%v: %v", c, err)
			}
			t.Logf("%v: %d pages hashed again", c, pages)
			compareMach(t, before, after, model)
		}
		if err := p.Write(context.Background(), &bytes.Buffer{}, nil, p.Room(Card{})+1, Card{}); err == nil {
			t.Error("a model beyond the limit was written")
		}
		room := p.Room(Card{})
		sign := signature{identifier: "systemgemma", codeEnd: p.mach.modelOffset() + room + p.mach.page + p.mach.keep}
		if sign.codeEnd+sign.size() > fileLimit {
			t.Errorf("room of %d bytes is too much: the file ends at %d", room, sign.codeEnd+sign.size())
		}
	}
}

// compareMach wants the same program but for what a bundle adds.
func compareMach(t *testing.T, before, after, model []byte) {
	t.Helper()
	a, err := macho.NewFile(bytes.NewReader(before))
	if err != nil {
		t.Fatal(err)
	}
	b, err := macho.NewFile(bytes.NewReader(after))
	if err != nil {
		t.Fatal(err)
	}
	if a.Symtab != nil && !reflect.DeepEqual(a.Symtab.Syms, b.Symtab.Syms) || (a.Symtab == nil) != (b.Symtab == nil) {
		t.Error("the symbols differ")
	}
	if a.Dysymtab != nil && !reflect.DeepEqual(a.Dysymtab.IndirectSyms, b.Dysymtab.IndirectSyms) {
		t.Error("the indirect symbols differ")
	}
	for i, s := range a.Sections {
		if s.SectionHeader != b.Sections[i].SectionHeader {
			t.Errorf("section %s: %+v became %+v", s.Name, s.SectionHeader, b.Sections[i].SectionHeader)
		}
		if s.Offset == 0 { // memory of zeros, without bytes in the file
			continue
		}
		x, errX := s.Data()
		y, errY := b.Sections[i].Data()
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("section %s differs: %v, %v", s.Name, errX, errY)
		}
	}
	page := map[macho.Cpu]uint64{macho.CpuAmd64: 4096, macho.CpuArm64: 16384}[b.Cpu]
	var last *macho.Segment
	var names []string
	for _, l := range b.Loads {
		s, ok := l.(*macho.Segment)
		if !ok {
			continue
		}
		names = append(names, s.Name)
		if last != nil && (s.Addr < last.Addr+last.Memsz || s.Filesz > 0 && s.Offset < last.Offset+last.Filesz) {
			t.Errorf("segment %s overlaps %s", s.Name, last.Name)
		}
		if s.Offset%page != 0 || s.Addr%page != 0 {
			t.Errorf("segment %s lies at %#x and %#x", s.Name, s.Offset, s.Addr)
		}
		if last != nil && last.Filesz > 0 && s.Offset >= last.Offset+last.Filesz+page {
			t.Errorf("pages between segments %s and %s: %#x to %#x", last.Name, s.Name, last.Offset+last.Filesz, s.Offset)
		}
		last = s
		if s.Name == segmentName {
			data, err := s.Data()
			if err != nil || !bytes.Contains(data, model) || s.Prot != 1 || s.Maxprot != 1 || s.Memsz != s.Filesz {
				t.Errorf("segment of the model: %+v, %v", s.SegmentHeader, err)
			}
		}
	}
	if n := len(names); n < 3 || names[n-1] != "__LINKEDIT" || names[n-2] != segmentName {
		t.Errorf("segments %v", names)
	}
	// All that commands point to in __LINKEDIT is the same bytes.
	la, lb := a.Segment("__LINKEDIT"), b.Segment("__LINKEDIT")
	p, err := parseMach(before)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before[la.Offset:la.Offset+uint64(p.keep)], after[lb.Offset:lb.Offset+uint64(p.keep)]) {
		t.Error("__LINKEDIT differs")
	}
	moved := uint32(lb.Offset - la.Offset)
	for i, l := range a.Loads {
		x, kind := l.Raw(), a.ByteOrder.Uint32(l.Raw())
		var y []byte
		for _, m := range b.Loads[i:] {
			if a.ByteOrder.Uint32(m.Raw()) == kind {
				y = m.Raw()
				break
			}
		}
		for _, at := range offsetFields[kind] {
			was, is := a.ByteOrder.Uint32(x[at:]), a.ByteOrder.Uint32(y[at:])
			if was == 0 && is != 0 || was != 0 && is != was+moved {
				t.Errorf("command %#x: offset %d became %d, want %d more", kind, was, is, moved)
			}
		}
	}
}

// FuzzMach reads and rewrites any bytes.
func FuzzMach(f *testing.F) {
	seed := func(cpu uint32, commands ...[]byte) []byte {
		le := binary.LittleEndian
		all := bytes.Join(commands, nil)
		b := le.AppendUint32(nil, machMagic)
		for _, x := range []uint32{cpu, 0, machExecute, uint32(len(commands)), uint32(len(all)), 0, 0} {
			b = le.AppendUint32(b, x)
		}
		b = append(b, all...)
		return append(b, make([]byte, 2*pageARM64-len(b))...)
	}
	segment := func(name string, at, size uint64) []byte {
		c := newSegment(at, at, size)
		copy(c[8:24], name+"\x00\x00\x00\x00\x00\x00\x00\x00")
		return c
	}
	small := seed(cpuARM64, segment("__TEXT", 0, pageARM64), segment("__LINKEDIT", pageARM64, pageARM64))
	if _, err := parseMach(small); err != nil {
		f.Fatal(err) // else nothing is fuzzed behind the checks
	}
	f.Add(small)
	f.Add(seed(cpuAMD64, segment("__LINKEDIT", pageARM64, pageARM64)))
	f.Add([]byte("\xcf\xfa\xed\xfe"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMach(data)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if m.write(&out, bytes.NewReader([]byte("GGUF")), 4, []byte("end")) == nil && out.Len() < len(data)-int(m.linkedit.filesize) {
			t.Errorf("%d bytes became %d", len(data), out.Len())
		}
	})
}
