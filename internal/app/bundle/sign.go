package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// What this file knows of signatures is from the structures that Apple publishes in <kern/cs_blobs.h>. Their numbers are
// big-endian.
const (
	superBlobMagic     = 0xfade0cc0 // CSMAGIC_EMBEDDED_SIGNATURE
	codeDirectoryMagic = 0xfade0c02 // CSMAGIC_CODEDIRECTORY
	codeDirectorySlot  = 0          // CSSLOT_CODEDIRECTORY
	codeDirectoryForm  = 0x20400    // the version that has the bounds of the executable segment
	adHoc              = 2          // CS_ADHOC: signed by nobody
	hashSHA256         = 2          // CS_HASHTYPE_SHA256
	mainBinary         = 1          // CS_EXECSEG_MAIN_BINARY

	pageBits          = 12 // of the pages that are hashed
	superBlobSize     = 12 + 8
	codeDirectorySize = 88
)

// signature is an ad-hoc signature of a program's bytes up to codeEnd: a hash of each page, without certificates. The CPU's
// loader compares pages with it when they are read; it says nothing of who made the program.
type signature struct {
	identifier          string
	codeEnd             int64
	textBegin, textSize uint64 // of __TEXT, in the file
}

func (s *signature) pages() int64 { return roundUp(s.codeEnd, 1<<pageBits) >> pageBits }

func (s *signature) directory() int64 {
	return codeDirectorySize + int64(len(s.identifier)) + 1 + s.pages()*sha256.Size
}

// size is that of the encoded signature, with zeros up to a multiple of 16.
func (s *signature) size() int64 { return roundUp(superBlobSize+s.directory(), 16) }

// encode makes the signature of pages with these hashes.
func (s *signature) encode(sums []byte) []byte {
	be := binary.BigEndian
	words := func(b []byte, list ...uint32) []byte {
		for _, x := range list {
			b = be.AppendUint32(b, x)
		}
		return b
	}
	b := words(nil, superBlobMagic, uint32(superBlobSize+s.directory()), 1, codeDirectorySlot, superBlobSize)
	hashes := uint32(codeDirectorySize + len(s.identifier) + 1)
	b = words(b, codeDirectoryMagic, uint32(s.directory()), codeDirectoryForm, adHoc, hashes, codeDirectorySize, 0, uint32(s.pages()), uint32(s.codeEnd))
	b = append(b, sha256.Size, hashSHA256, 0, pageBits)
	b = words(b, 0, 0, 0, 0)                                             // spare, scatter, team, spare
	for _, x := range []uint64{0, s.textBegin, s.textSize, mainBinary} { // 0: codeLimit says all
		b = be.AppendUint64(b, x)
	}
	b = append(append(b, s.identifier...), 0)
	b = append(b, sums...)
	return append(b, make([]byte, s.size()-int64(len(b)))...)
}

// pageHasher hashes the pages of what it passes on.
type pageHasher struct {
	w    io.Writer
	page []byte // begun
	all  []byte // hashes of full ones
}

func (h *pageHasher) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	for rest := p[:n]; len(rest) > 0; {
		take := min(len(rest), 1<<pageBits-len(h.page))
		h.page = append(h.page, rest[:take]...)
		rest = rest[take:]
		if len(h.page) == 1<<pageBits {
			h.flush()
		}
	}
	return n, err
}

func (h *pageHasher) flush() {
	sum := sha256.Sum256(h.page)
	h.all, h.page = append(h.all, sum[:]...), h.page[:0]
}

// sums are the hashes of all pages; the last one may be shorter.
func (h *pageHasher) sums() []byte {
	if len(h.page) > 0 {
		h.flush()
	}
	return h.all
}
