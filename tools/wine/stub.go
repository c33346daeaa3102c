package main

import (
	"bytes"
	"encoding/binary"
)

// Wine before 9 has no bcryptprimitives.dll, which every Go program loads for its one function ProcessPrng. The stub is a DLL without code:
// its only export is passed on to wine's own generator of random numbers, ADVAPI32.SystemFunction036 (RtlGenRandom), which takes the same
// arguments. It is for tests only.
const (
	stubName  = "bcryptprimitives.dll"
	stubFunc  = "ProcessPrng"
	stubTo    = "ADVAPI32.SystemFunction036"
	stubAlign = 0x200  // of the file's parts
	stubPage  = 0x1000 // where the only section lies in memory
)

// stub is the DLL's bytes, in the format that Microsoft's "PE Format" describes, section by section of that text.
func stub() []byte {
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v) // to memory
		}
	}
	exports := stubExports()
	put([]byte("MZ"), make([]byte, 58), uint32(64)) // MS-DOS stub: where the next header is
	put([]byte("PE\x00\x00"))
	// COFF header: x86-64, one section, no symbols, size of the optional header, a DLL above 2 GiB.
	put(uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(240), uint16(0x2022))
	// Optional header: PE32+, no code, initialised data, no entry point.
	put(uint16(0x20b), uint16(0), uint32(0), uint32(stubAlign), uint32(0), uint32(0), uint32(stubPage))
	put(uint64(0x180000000), uint32(stubPage), uint32(stubAlign)) // image base, alignments
	put(uint16(6), uint16(0), uint16(0), uint16(0), uint16(6), uint16(0), uint32(0))
	put(uint32(2*stubPage), uint32(stubAlign), uint32(0), uint16(3), uint16(0x100)) // sizes, checksum, console, no code in data
	put(uint64(1<<20), uint64(4096), uint64(1<<20), uint64(4096), uint32(0), uint32(16))
	put(uint32(stubPage), uint32(len(exports)), make([]byte, 15*8)) // of 16 tables only that of exports
	// The section: initialised data, readable.
	put([]byte(".rdata\x00\x00"), uint32(len(exports)), uint32(stubPage), uint32(stubAlign), uint32(stubAlign), make([]byte, 12), uint32(0x40000040))
	put(make([]byte, stubAlign-b.Len()), exports, make([]byte, stubAlign-len(exports)))
	return b.Bytes()
}

// stubExports is the table of exports. An address within the table itself is no function, but the name of one elsewhere.
func stubExports() []byte {
	const (
		functions = stubPage + 40
		names     = functions + 4
		ordinals  = names + 4
		dll       = ordinals + 2
		function  = dll + len(stubName) + 1
		to        = function + len(stubFunc) + 1
	)
	var b bytes.Buffer
	for _, v := range []any{
		make([]byte, 12), uint32(dll), uint32(1), uint32(1), uint32(1), uint32(functions), uint32(names), uint32(ordinals),
		uint32(to), uint32(function), uint16(0), []byte(stubName + "\x00" + stubFunc + "\x00" + stubTo + "\x00"),
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // to memory
	}
	return b.Bytes()
}
