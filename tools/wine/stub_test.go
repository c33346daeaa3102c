package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"testing"
)

// Another reader of the format finds a DLL for x86-64 whose table of exports has one name, passed on.
func TestStub(t *testing.T) {
	f, err := pe.NewFile(bytes.NewReader(stub()))
	if err != nil {
		t.Fatal(err)
	}
	h, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || f.Characteristics&pe.IMAGE_FILE_DLL == 0 || len(f.Sections) != 1 {
		t.Fatalf("%+v", f.FileHeader)
	}
	table := h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT]
	s := f.Sections[0]
	data, err := s.Data()
	if err != nil || table.VirtualAddress != s.VirtualAddress || int(table.Size) > len(data) {
		t.Fatalf("%+v, %+v, %v", table, s.SectionHeader, err)
	}
	word := func(at uint32) uint32 { return binary.LittleEndian.Uint32(data[at-s.VirtualAddress:]) }
	text := func(at uint32) string {
		b, _, _ := bytes.Cut(data[at-s.VirtualAddress:], []byte{0})
		return string(b)
	}
	at := table.VirtualAddress
	functions, names := word(at+28), word(at+32)
	if word(at+20) != 1 || word(at+24) != 1 || text(word(at+12)) != stubName || text(word(names)) != stubFunc || text(word(functions)) != stubTo {
		t.Errorf("exports %q of %q to %q", text(word(names)), text(word(at+12)), text(word(functions)))
	}
	if to := word(functions); to < at || to >= at+table.Size {
		t.Errorf("%#x is outside the table: it would be an address of code", to)
	}
}
