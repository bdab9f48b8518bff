package store

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io/fs"
)

// CombineCRC returns the checksum of type FullObject by a, one of the CRCs, of
// an object made of parts, out of the checksum and the size of each. The error
// is ErrInvalidPart if a part has no such checksum, or fs.ErrInvalid if a is not
// a CRC.
func CombineCRC(a Algorithm, parts []Part) (string, error) {
	var f field
	switch a {
	case CRC32:
		f = field{crc32.IEEE, 1 << 31}
	case CRC32C:
		f = field{crc32.Castagnoli, 1 << 31}
	case CRC64NVME:
		f = field{0x9a6c9329ac4bc9b5, 1 << 63}
	default:
		return "", fmt.Errorf("%s cannot be combined: %w", a, fs.ErrInvalid)
	}
	size := a.New().Size()
	shifted, shift := int64(0), f.one
	var crc uint64
	for _, p := range parts {
		b, err := base64.StdEncoding.DecodeString(p.Checksums.Get(a))
		if err != nil || len(b) != size {
			return "", fmt.Errorf("part %d has no %s: %w", p.Number, a, ErrInvalidPart)
		}
		// What came before is followed by 8*p.Size more bits, that is, multiplied
		// by x to that power. The inversions at both ends of a CRC cancel out.
		if p.Size != shifted { // most parts have the same size
			shifted, shift = p.Size, f.power(8*uint64(p.Size))
		}
		crc = f.mul(shift, crc)
		for i := range b {
			crc ^= uint64(b[i]) << (8 * (size - 1 - i))
		}
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(crc >> (8 * (size - 1 - i)))
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// field is GF(2)[x] modulo the polynomial of a CRC. Bits are reversed: the
// highest is the factor of x to the power of 0.
type field struct {
	poly uint64
	one  uint64
}

func (f field) mul(a, b uint64) uint64 {
	var product uint64
	for bit := f.one; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= f.poly
		}
	}
	return product
}

// power returns x to the power of n.
func (f field) power(n uint64) uint64 {
	result, square := f.one, f.one>>1
	for ; n != 0; n >>= 1 {
		if n&1 != 0 {
			result = f.mul(square, result)
		}
		square = f.mul(square, square)
	}
	return result
}
