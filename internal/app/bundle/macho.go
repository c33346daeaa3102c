package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What this file knows of Mach-O is from Apple's <mach-o/loader.h>.
const (
	machMagic   = 0xfeedfacf // MH_MAGIC_64
	machExecute = 2          // MH_EXECUTE
	machHeader  = 32         // bytes of mach_header_64
	cpuAMD64    = 0x01000007
	cpuARM64    = 0x0100000c
	pageAMD64   = 4 << 10
	pageARM64   = 16 << 10

	lcSymtab       = 0x2
	lcDysymtab     = 0xb
	lcSegment64    = 0x19
	lcCodeSign     = 0x1d
	lcDyldInfo     = 0x22
	lcDyldInfoOnly = 0x80000022

	segmentSize  = 72 // bytes of segment_command_64 without sections
	codeSignSize = 16 // bytes of linkedit_data_command

	segmentName = "__SYSTEMGEMMA"
)

// offsetFields are where load commands hold offsets of data in __LINKEDIT, 4 bytes each, counted from the command's beginning.
var offsetFields = map[uint32][]int{
	lcSymtab:       {8, 16},
	lcDysymtab:     {32, 40, 48, 56, 64, 72},
	lcDyldInfo:     {8, 16, 24, 32, 40},
	lcDyldInfoOnly: {8, 16, 24, 32, 40},
	0x1e:           {8}, // LC_SEGMENT_SPLIT_INFO
	0x26:           {8}, // LC_FUNCTION_STARTS
	0x29:           {8}, // LC_DATA_IN_CODE
	0x2b:           {8}, // LC_DYLIB_CODE_SIGN_DRS
	0x2e:           {8}, // LC_LINKER_OPTIMIZATION_HINT
	0x80000033:     {8}, // LC_DYLD_EXPORTS_TRIE
}

// plainCommands hold no offsets of data that moves.
var plainCommands = map[uint32]bool{
	0x5: true, 0xc: true, 0xe: true, 0x1b: true, // LC_UNIXTHREAD, LC_LOAD_DYLIB, LC_LOAD_DYLINKER, LC_UUID
	0x80000018: true, 0x8000001c: true, 0x80000028: true, // LC_LOAD_WEAK_DYLIB, LC_RPATH, LC_MAIN
	0x24: true, 0x2a: true, 0x32: true, // LC_VERSION_MIN_MACOSX, LC_SOURCE_VERSION, LC_BUILD_VERSION
}

// command is a load command.
type command struct {
	kind uint32
	data []byte // all of it
}

// segment is what we need of segment_command_64.
type segment struct {
	name                              string
	vmaddr, vmsize, fileoff, filesize uint64
	firstSection                      uint64 // where the first section with bytes begins, 0 for none
}

// machProgram is a program of darwin.
type machProgram struct {
	arch     string
	page     int64 // bytes, of what segments are made of
	data     []byte
	commands []command // without the signature
	text     segment
	linkedit segment
	keep     int64 // bytes of __LINKEDIT before the signature, or all
	room     int64 // bytes that load commands may take
}

// readCommands reads header and load commands.
func readCommands(data []byte) (commands []command, cpu uint32, err error) {
	le := binary.LittleEndian
	if len(data) < machHeader || le.Uint32(data) != machMagic {
		return nil, 0, errors.New("want a Mach-O file of 64 bits, found another one")
	}
	count, size := le.Uint32(data[16:]), le.Uint32(data[20:])
	rest := data[machHeader:]
	if uint64(size) > uint64(len(rest)) {
		return nil, 0, fmt.Errorf("want %d bytes of load commands, found %d", size, len(rest))
	}
	rest = rest[:size]
	for i := range count {
		if len(rest) < 8 {
			return nil, 0, fmt.Errorf("want %d load commands, found %d", count, i)
		}
		n := le.Uint32(rest[4:])
		if n < 8 || n%8 != 0 || uint64(n) > uint64(len(rest)) {
			return nil, 0, fmt.Errorf("load command %d: want a multiple of 8 up to %d bytes, found %d", i, len(rest), n)
		}
		commands = append(commands, command{le.Uint32(rest), rest[:n]})
		rest = rest[n:]
	}
	return commands, le.Uint32(data[4:]), nil
}

// segmentOf reads a segment_command_64.
func segmentOf(c command) (s segment, err error) {
	le := binary.LittleEndian
	if len(c.data) < segmentSize {
		return s, fmt.Errorf("segment: want a command of at least %d bytes, found %d", segmentSize, len(c.data))
	}
	s.name = string(bytes.TrimRight(c.data[8:24], "\x00"))
	s.vmaddr, s.vmsize, s.fileoff, s.filesize = le.Uint64(c.data[24:]), le.Uint64(c.data[32:]), le.Uint64(c.data[40:]), le.Uint64(c.data[48:])
	const sectionSize = 80
	sections := c.data[segmentSize:]
	if n := uint64(le.Uint32(c.data[64:])); n*sectionSize != uint64(len(sections)) {
		return s, fmt.Errorf("segment %s: want %d sections, found %d bytes of them", s.name, n, len(sections))
	}
	for ; len(sections) > 0; sections = sections[sectionSize:] {
		if at := uint64(le.Uint32(sections[48:])); at > 0 && (s.firstSection == 0 || at < s.firstSection) {
			s.firstSection = at
		}
	}
	return s, nil
}

// parseMach reads a program and refuses what write could not rewrite.
func parseMach(data []byte) (*machProgram, error) {
	commands, cpu, err := readCommands(data)
	if err != nil {
		return nil, err
	}
	m := &machProgram{data: data}
	switch cpu {
	case cpuAMD64:
		m.arch, m.page = "amd64", pageAMD64
	case cpuARM64:
		m.arch, m.page = "arm64", pageARM64
	}
	if kind := binary.LittleEndian.Uint32(data[12:]); m.arch == "" || kind != machExecute {
		return nil, fmt.Errorf("want an executable for amd64 or arm64, found kind %d for CPU %#x", kind, cpu)
	}
	first, signature := uint64(len(data)), -1
	for _, c := range commands {
		switch {
		case c.kind == lcCodeSign && len(c.data) == codeSignSize:
			signature = int(binary.LittleEndian.Uint32(c.data[8:]))
			continue
		case c.kind == lcSegment64:
			s, err := segmentOf(c)
			if err != nil {
				return nil, err
			}
			if m.linkedit.name != "" {
				return nil, fmt.Errorf("want __LINKEDIT as the last segment, found %s after it", s.name)
			}
			if s.firstSection > 0 {
				first = min(first, s.firstSection)
			}
			switch s.name {
			case "__TEXT":
				m.text = s
			case "__LINKEDIT":
				m.linkedit = s
			}
		case !plainCommands[c.kind] && offsetFields[c.kind] == nil:
			return nil, fmt.Errorf("want load commands of Go's linker, found %#x, which may hold places that move", c.kind)
		}
		if fields := offsetFields[c.kind]; fields != nil && len(c.data) < fields[len(fields)-1]+8 {
			return nil, fmt.Errorf("load command %#x: want at least %d bytes, found %d", c.kind, fields[len(fields)-1]+8, len(c.data))
		}
		m.commands = append(m.commands, c)
	}
	return m, m.check(first, signature)
}

// check looks whether everything is where write wants it.
func (m *machProgram) check(firstSection uint64, signature int) error {
	l := &m.linkedit
	size, page := uint64(len(m.data)), uint64(m.page)
	if m.text.name == "" || l.name == "" {
		return errors.New("want segments __TEXT and __LINKEDIT, found not both")
	}
	if l.fileoff > size || l.filesize != size-l.fileoff || l.fileoff%page != 0 || l.vmaddr%page != 0 || l.vmaddr > 1<<62 {
		return fmt.Errorf("want __LINKEDIT at the end, on a page, found %d bytes from %d on of %d", l.filesize, l.fileoff, size)
	}
	m.keep = int64(l.filesize)
	if signature >= 0 {
		if m.keep = int64(signature) - int64(l.fileoff); m.keep < 0 || m.keep > int64(l.filesize) {
			return fmt.Errorf("want a signature in __LINKEDIT, found it at %d", signature)
		}
	}
	m.room = int64(min(firstSection, l.fileoff)) - machHeader
	need := int64(segmentSize + codeSignSize)
	for _, c := range m.commands {
		need += int64(len(c.data))
		if c.kind != lcSegment64 {
			continue
		}
		if s, _ := segmentOf(c); s.name != l.name && (s.fileoff > l.fileoff || s.filesize > l.fileoff-s.fileoff || s.vmaddr > l.vmaddr || s.vmsize > l.vmaddr-s.vmaddr) {
			return fmt.Errorf("want segments before __LINKEDIT, found %s", s.name)
		}
	}
	if need > m.room {
		return fmt.Errorf("want %d bytes of room for load commands, found %d", need, m.room)
	}
	return nil
}

// modelOffset is where the model will begin: the segment begins where __LINKEDIT was, the model at the next multiple of align.
func (m *machProgram) modelOffset() int64 { return roundUp(int64(m.linkedit.fileoff), align) }

// write makes the program anew with the model and what follows it at the end of a segment.
func (m *machProgram) write(w io.Writer, model io.Reader, size int64, end []byte) error {
	begin := int64(m.linkedit.fileoff)
	segmentEnd := roundUp(m.modelOffset()+size+int64(len(end)), m.page)
	moved := segmentEnd - begin
	codeEnd := roundUp(segmentEnd+m.keep, 16)
	sign := signature{identifier: "systemgemma", codeEnd: codeEnd, textBegin: m.text.fileoff, textSize: m.text.filesize}
	if codeEnd+sign.size() > fileLimit {
		return fmt.Errorf("want at most %d bytes, which load commands can say, found %d", fileLimit, codeEnd+sign.size())
	}
	pages := &pageHasher{w: w}
	for _, r := range []io.Reader{
		bytes.NewReader(m.head(moved, codeEnd, sign.size())), bytes.NewReader(m.data[machHeader+m.room : begin]),
		zeros(m.modelOffset() - begin), model, zeros(segmentEnd - m.modelOffset() - size - int64(len(end))), bytes.NewReader(end),
		bytes.NewReader(m.data[begin : begin+m.keep]), zeros(codeEnd - segmentEnd - m.keep),
	} {
		if _, err := io.Copy(pages, r); err != nil {
			return err
		}
	}
	_, err := w.Write(sign.encode(pages.sums()))
	return err
}

// head is header and load commands, and zeros up to the first section.
func (m *machProgram) head(moved, codeEnd, signSize int64) []byte {
	le := binary.LittleEndian
	head := bytes.Clone(m.data[:machHeader])
	count := uint32(0)
	add := func(c []byte) { head, count = append(head, c...), count+1 }
	for _, c := range m.commands {
		own := bytes.Clone(c.data)
		for _, at := range offsetFields[c.kind] {
			if x := le.Uint32(own[at:]); uint64(x) >= m.linkedit.fileoff {
				le.PutUint32(own[at:], x+uint32(moved))
			}
		}
		if s, err := segmentOf(c); c.kind == lcSegment64 && err == nil && s.name == m.linkedit.name {
			add(newSegment(s.vmaddr, s.fileoff, uint64(moved)))
			length := uint64(codeEnd+signSize) - s.fileoff - uint64(moved)
			le.PutUint64(own[24:], s.vmaddr+uint64(moved))
			le.PutUint64(own[32:], uint64(roundUp(int64(length), m.page)))
			le.PutUint64(own[40:], s.fileoff+uint64(moved))
			le.PutUint64(own[48:], length)
		}
		add(own)
	}
	sign := le.AppendUint32(nil, lcCodeSign)
	for _, x := range []uint32{codeSignSize, uint32(codeEnd), uint32(signSize)} {
		sign = le.AppendUint32(sign, x)
	}
	add(sign)
	le.PutUint32(head[16:], count)
	le.PutUint32(head[20:], uint32(len(head)-machHeader))
	return append(head, make([]byte, machHeader+int(m.room)-len(head))...)
}

// newSegment is the load command of the segment that holds the model: read-only, without sections.
func newSegment(vmaddr, fileoff, size uint64) []byte {
	le := binary.LittleEndian
	c := le.AppendUint32(nil, lcSegment64)
	c = le.AppendUint32(c, segmentSize)
	name := make([]byte, 16)
	copy(name, segmentName)
	c = append(c, name...)
	for _, x := range []uint64{vmaddr, size, fileoff, size} {
		c = le.AppendUint64(c, x)
	}
	const read, noRelocations = 1, 4
	for _, x := range []uint32{read, read, 0, noRelocations} {
		c = le.AppendUint32(c, x)
	}
	return c
}

// maxCommands bounds the load commands that are read to find a model.
const maxCommands = 64 << 10

// machTrailer is where our segment ends.
func machTrailer(r io.ReaderAt, size int64) (int64, error) {
	head := make([]byte, min(size, machHeader+maxCommands))
	if _, err := r.ReadAt(head, 0); err != nil {
		return 0, err
	}
	commands, _, err := readCommands(head)
	if err != nil {
		return 0, err
	}
	for _, c := range commands {
		if c.kind != lcSegment64 {
			continue
		}
		s, err := segmentOf(c)
		if err != nil {
			return 0, err
		}
		if s.name == segmentName && s.fileoff <= uint64(size) && s.filesize <= uint64(size)-s.fileoff {
			return int64(s.fileoff + s.filesize), nil
		}
	}
	return 0, errors.New("no model")
}
