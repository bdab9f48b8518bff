package userpool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"testing"
)

func TestPrimeIsTheGroupOfRFC3526(t *testing.T) {
	// 2^3072 - 2^3008 - 1 + 2^64 * (floor(2^2942 pi) + 1690314)
	one := big.NewInt(1)
	pow := func(n uint) *big.Int { return new(big.Int).Lsh(one, n) }
	want := new(big.Int).Sub(pow(3072), pow(3008))
	want.Sub(want, one)
	mid := new(big.Int).Add(piBits(2942), big.NewInt(1690314))
	want.Add(want, mid.Lsh(mid, 64))
	if prime().Cmp(want) != 0 {
		t.Error("the prime is another one")
	}
	if verifierSize != 384 {
		t.Errorf("a verifier has %d bytes", verifierSize)
	}
}

// piBits returns floor(2^n pi), by Machin's formula.
func piBits(n uint) *big.Int {
	const guard = 64
	arctan := func(x int64) *big.Int { // of 1/x
		sum, square := new(big.Int), big.NewInt(x*x)
		term := new(big.Int).Lsh(big.NewInt(1), n+guard)
		term.Quo(term, big.NewInt(x))
		for k := int64(1); term.Sign() != 0; k += 2 {
			part := new(big.Int).Quo(term, big.NewInt(k))
			if k%4 == 3 {
				part.Neg(part)
			}
			sum.Add(sum, part)
			term.Quo(term, square)
		}
		return sum
	}
	pi := arctan(5)
	pi.Mul(pi, big.NewInt(4)).Sub(pi, arctan(239)).Mul(pi, big.NewInt(4))
	return pi.Rsh(pi, guard)
}

// The sums were computed apart from this code, from the formulas that Cognito's
// clients use.
func TestVerifierVectors(t *testing.T) {
	const sub = "11111111-2222-4333-8444-555555555555"
	for salt, want := range map[string]string{
		"c3fa1e0b7788990011223344556677ff": "afcdaac90383075dcf151ae686e1351da6b8c1fa022b766f5ed919f5c23f04bb",
		"0003fa1e0b7788990011223344556677": "3c704e0cee8564b8a2ec49c7fff02621b60fe7e40716a8a200d8a1739b8161a8",
	} {
		raw, err := hex.DecodeString(salt)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(verifier("Test12345", sub, "Pässword-1", raw))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("salt %s: verifier with the sum %s, want %s", salt, got, want)
		}
	}
}

// A client that never sends its password, as most do, must come to the same
// key with it as the server does with the verifier.
func TestVerifierServesSRP(t *testing.T) {
	const pool, sub, pass = "Test12345", "some-sub", "correct horse"
	salt := bytes.Repeat([]byte{0x9c}, saltSize)
	v := new(big.Int).SetBytes(verifier(pool, sub, pass, salt))
	n, g := prime(), big.NewInt(generator)
	hash := func(parts ...[]byte) *big.Int {
		sum := sha256.Sum256(bytes.Join(parts, nil))
		return new(big.Int).SetBytes(sum[:])
	}
	k := hash(pad(n), pad(g))
	a, b := hash([]byte("a")), hash([]byte("b"))
	bigA := new(big.Int).Exp(g, a, n)
	bigB := new(big.Int).Mul(k, v)
	bigB.Add(bigB, new(big.Int).Exp(g, b, n)).Mod(bigB, n)
	u := hash(pad(bigA), pad(bigB))

	inner := sha256.Sum256([]byte(pool + sub + ":" + pass))
	x := hash(pad(new(big.Int).SetBytes(salt)), inner[:])
	base := new(big.Int).Exp(g, x, n)
	base.Mul(base, k).Sub(bigB, base).Mod(base, n)
	client := base.Exp(base, new(big.Int).Add(a, new(big.Int).Mul(u, x)), n)

	server := new(big.Int).Exp(v, u, n)
	server.Mul(server, bigA).Exp(server, b, n)
	if client.Cmp(server) != 0 {
		t.Error("client and server come to different keys")
	}
}

func BenchmarkVerifier(b *testing.B) {
	salt := make([]byte, saltSize)
	for b.Loop() {
		verifier("Test12345", "sub", "password", salt)
	}
}
