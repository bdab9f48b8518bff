package crypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func seal(t testing.TB, k *DataKey, plain []byte) []byte {
	t.Helper()
	s := k.Seal(bytes.NewReader(plain))
	defer s.Close()
	sealed, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func open(k *DataKey, sealed []byte, size, offset, length int64) ([]byte, error) {
	o := k.OpenAt(bytes.NewReader(sealed), size, offset, length)
	defer o.Close()
	return io.ReadAll(o)
}

var sizes = []int{0, 1, 100, chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize - 1, 2 * chunkSize, 3*chunkSize + 77}

func TestWhatIsSealedOpens(t *testing.T) {
	k := NewDataKey()
	for _, size := range sizes {
		plain := content(size)
		sealed := seal(t, k, plain)
		if got, want := int64(len(sealed)), SealedSize(int64(size)); got != want {
			t.Errorf("%d bytes are sealed as %d, SealedSize says %d", size, got, want)
		}
		if got, err := PlainSize(int64(len(sealed))); got != int64(size) || err != nil {
			t.Errorf("PlainSize of %d is %d, %v, want %d", len(sealed), got, err, size)
		}
		got, err := open(k, sealed, int64(size), 0, int64(size))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes do not open as they were: %v", size, err)
		}
		if size > 8 && bytes.Contains(sealed, plain[:8]) {
			t.Errorf("%d bytes are there in plain", size)
		}
		if size > 0 && bytes.Equal(sealed, seal(t, k, plain)) {
			t.Errorf("%d bytes are sealed alike twice", size)
		}
	}
}

func TestReadersOfAnySize(t *testing.T) {
	k := NewDataKey()
	plain := content(2*chunkSize + 5)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"half": iotest.HalfReader, "data and error": iotest.DataErrReader, "one byte": iotest.OneByteReader,
	} {
		s := k.Seal(wrap(bytes.NewReader(plain)))
		sealed, err := io.ReadAll(wrap(s))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		spans := Spans(int64(len(plain)), 0, int64(len(plain)))
		o := k.Open(wrap(bytes.NewReader(sealed[:spans[1].Offset+spans[1].Length])), int64(len(plain)), 0, int64(len(plain)))
		got, err := io.ReadAll(wrap(o))
		o.Close()
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: does not open as it was: %v", name, err)
		}
	}
	broken := errors.New("broken")
	s := k.Seal(io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(broken)))
	defer s.Close()
	if _, err := io.ReadAll(s); err != broken {
		t.Errorf("sealing what breaks off ends with %v", err)
	}
}

// counted counts what is read.
type counted struct {
	*bytes.Reader
	n int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.n += n
	return n, err
}

func TestRangesReadTheirChunksAlone(t *testing.T) {
	k := NewDataKey()
	plain := content(5*chunkSize + 10)
	sealed := seal(t, k, plain)
	size := int64(len(plain))
	for _, r := range []struct{ offset, length, chunks int64 }{
		{0, 1, 1},
		{chunkSize - 1, 1, 1},
		{chunkSize - 1, 2, 2},
		{chunkSize, chunkSize, 1},
		{10, 2 * chunkSize, 3},
		{size - 1, 1, 1},
		{5 * chunkSize, 10, 1},
		{0, size, 6},
		{7, 0, 0},
	} {
		raw := &counted{Reader: bytes.NewReader(sealed)}
		o := k.OpenAt(raw, size, r.offset, r.length)
		var got bytes.Buffer
		n, err := o.WriteTo(&got)
		o.Close()
		if err != nil || n != r.length || !bytes.Equal(got.Bytes(), plain[r.offset:r.offset+r.length]) {
			t.Errorf("%d bytes from %d: %d, %v", r.length, r.offset, n, err)
		}
		if most := headerSize + r.chunks*sealedSize; int64(raw.n) > most {
			t.Errorf("%d bytes from %d: read %d bytes, at most %d were needed", r.length, r.offset, raw.n, most)
		}
	}
	for _, r := range [][2]int64{{-1, 1}, {0, size + 1}, {size + 1, 0}, {0, -1}} {
		if _, err := open(k, sealed, size, r[0], r[1]); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%d bytes from %d of %d: %v", r[1], r[0], size, err)
		}
	}
}

func TestChangesAreNoticed(t *testing.T) {
	k := NewDataKey()
	plain := content(3*chunkSize + 10)
	sealed, other := seal(t, k, plain), seal(t, k, plain)
	size := int64(len(plain))
	chunk := func(b []byte, n int) []byte { return b[headerSize+n*sealedSize:][:sealedSize] }
	for name, b := range map[string][]byte{
		"another header":      append(slices.Clone(other[:headerSize]), sealed[headerSize:]...),
		"a chunk of another":  slices.Concat(sealed[:headerSize], chunk(other, 0), sealed[headerSize+sealedSize:]),
		"another order":       slices.Concat(sealed[:headerSize], chunk(sealed, 1), chunk(sealed, 0), sealed[headerSize+2*sealedSize:]),
		"a chunk twice":       slices.Concat(sealed[:headerSize], chunk(sealed, 0), chunk(sealed, 0), sealed[headerSize+2*sealedSize:]),
		"cut short":           sealed[:len(sealed)-1],
		"cut after two":       sealed[:headerSize+2*sealedSize],
		"nothing":             nil,
		"no header of a kind": append([]byte("gubby"), sealed[5:]...),
	} {
		if _, err := open(k, b, size, 0, size); !errors.Is(err, ErrDamaged) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The size is not sealed, but whoever claims another one is found out.
	for _, claim := range []int64{2 * chunkSize, size - 1, 3 * chunkSize, chunkSize} {
		if _, err := open(k, sealed, claim, 0, claim); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes are said to be %d: %v", size, claim, err)
		}
	}
	if _, err := open(NewDataKey(), sealed, size, 0, size); !errors.Is(err, ErrDamaged) {
		t.Errorf("with another key: %v", err)
	}
	for range 50 {
		b := slices.Clone(sealed)
		at := rand.IntN(len(b))
		b[at] ^= 1 << rand.IntN(8)
		if _, err := open(k, b, size, 0, size); !errors.Is(err, ErrDamaged) {
			t.Errorf("with a bit changed at %d: %v", at, err)
		}
	}
}

func TestClosed(t *testing.T) {
	k := NewDataKey()
	s := k.Seal(bytes.NewReader(content(10)))
	s.Close()
	o := k.OpenAt(bytes.NewReader(seal(t, k, content(10))), 10, 0, 10)
	o.Close()
	for _, r := range []io.Reader{s, o} {
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("read of %T after its end: %v", r, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, *k); bytes.Contains([]byte(s), k.secret[:4]) {
		t.Error("a printed key shows its secret")
	}
}

// FuzzOpen changes sealed content: what opens is what was sealed.
func FuzzOpen(f *testing.F) {
	k := NewDataKey()
	f.Add(10, 3, byte(1), 0, 10)
	f.Add(chunkSize+1, 40, byte(0), chunkSize, 1)
	f.Add(3*chunkSize, chunkSize, byte(9), 5, 2*chunkSize)
	f.Fuzz(func(t *testing.T, size, at int, change byte, offset, length int) {
		if size < 0 || size > 4*chunkSize {
			return
		}
		plain := content(size)
		sealed := seal(t, k, plain)
		if at >= 0 && at < len(sealed) {
			sealed[at] ^= change
		}
		got, err := open(k, sealed, int64(size), int64(offset), int64(length))
		if offset < 0 || length < 0 || length > size-offset {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Fatalf("a range outside: %v", err)
			}
			return
		}
		if !bytes.HasPrefix(plain[offset:], got) || err == nil && len(got) != length {
			t.Fatalf("%d bytes, %v, which were not sealed", len(got), err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{10 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			k, plain, buf := NewDataKey(), content(size), make([]byte, 256<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s := k.Seal(bytes.NewReader(plain))
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, buf); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{10 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			k := NewDataKey()
			sealed := seal(b, k, content(size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				o := k.OpenAt(bytes.NewReader(sealed), int64(size), 0, int64(size))
				if _, err := o.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				o.Close()
			}
		})
	}
}
