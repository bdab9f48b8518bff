package identity

import (
	"regexp"
	"strings"

	"github.com/cubby-storage/cubby/internal/state"
)

// idMax is the longest id that the protocol knows.
const idMax = 55

var (
	idForm     = regexp.MustCompile(`^[\w-]+:[0-9a-f-]+$`)
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	regionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,17}$`) // an id has room for 18
)

// NewID returns a new random id of the form REGION:UUID, for an identity or a
// pool. It holds 122 random bits.
func NewID(region string) string {
	return region + ":" + state.NewUUID()
}

// CheckID returns an [Error] if id cannot be an identity id of this pool,
// whether or not there is such an identity.
func (p *Pool) CheckID(id string) error {
	if !wellFormed(id) {
		return invalid("IdentityId must be REGION:UUID in lower case.")
	}
	uuid, ok := strings.CutPrefix(id, p.cfg.Region+":")
	if !ok || !uuidForm.MatchString(uuid) {
		return notFound(id)
	}
	return nil
}

func (p *Pool) checkPool(poolID string) error {
	if !wellFormed(poolID) {
		return invalid("IdentityPoolId must be REGION:UUID in lower case.")
	}
	if poolID != p.cfg.PoolID {
		return &Error{Code: CodeNotFound, Message: "IdentityPool '" + poolID + "' not found."}
	}
	return nil
}

func wellFormed(id string) bool {
	return len(id) <= idMax && idForm.MatchString(id)
}
