package userpool

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"math/big"
	"sync"
)

// The group of SRP as Cognito's clients have it: the prime of 3072 bits of
// RFC 3526, with 2 as the generator.
const (
	primeHex = "" +
		"ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74" +
		"020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437" +
		"4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed" +
		"ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05" +
		"98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb" +
		"9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b" +
		"e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718" +
		"3995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33" +
		"a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7" +
		"abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864" +
		"d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2" +
		"08e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff"
	generator    = 2
	verifierSize = len(primeHex) / 2
	saltSize     = 16
)

var prime = sync.OnceValue(func() *big.Int {
	n, _ := new(big.Int).SetString(primeHex, 16)
	return n
})

// pad returns the bytes of a number as Java's BigInteger gives them: with a
// zero before a byte that would make it negative.
func pad(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}

// verifier returns g^x mod N, always verifierSize bytes, where x is made from
// the salt, the part of the pool id after its underscore, the user's sub and
// their password.
func verifier(pool, sub, password string, salt []byte) []byte {
	inner := sha256.Sum256([]byte(pool + sub + ":" + password))
	outer := sha256.New()
	outer.Write(pad(new(big.Int).SetBytes(salt)))
	outer.Write(inner[:])
	x := new(big.Int).SetBytes(outer.Sum(nil))
	return new(big.Int).Exp(big.NewInt(generator), x, prime()).FillBytes(make([]byte, verifierSize))
}

// verifies reports whether password is the one that a verifier was made from.
// It takes the same time whether it is or not.
func verifies(want []byte, pool, sub, password string, salt []byte) bool {
	return subtle.ConstantTimeCompare(want, verifier(pool, sub, password, salt)) == 1
}

// verifierAD binds a sealed verifier to its user and salt.
func (p *Pool) verifierAD(sub string, salt []byte) []byte {
	return p.ad("verifier", sub+" "+hex.EncodeToString(salt))
}

// ad names a sealed thing, so that none can stand in for another.
func (p *Pool) ad(purpose, id string) []byte {
	return []byte("user pool " + p.cfg.PoolID + " " + purpose + " " + id)
}
