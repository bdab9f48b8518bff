package diskstore

import (
	"errors"
	"fmt"

	"github.com/cubby-storage/cubby/store/crypt"
)

// locked says why the key to sealed content cannot be had. That of a customer is not
// looked for.
func (r *reading) locked(sealed *crypt.Envelope) (text string) {
	if sealed.Customer() {
		return ""
	}
	if _, err := r.s.opts.Keys.Open(r.ctx, sealed, nil); err != nil {
		return fmt.Sprintf("the key to the content (%s %s) cannot be had: %v", sealed.Algorithm, sealed.KMSKeyID, err)
	}
	return ""
}

// extents gives a body those of a part, which it opens if it can.
func (r *reading) extents(b *body, p *part, sealed *crypt.Envelope) error {
	if sealed == nil {
		b.extents = append([]extent(nil), p.extents...)
		return nil
	}
	var key *crypt.DataKey
	if !sealed.Customer() {
		var err error
		if key, err = r.s.opts.Keys.Open(r.ctx, sealed, nil); err != nil {
			return err
		}
	}
	return b.seal(key, [][]extent{p.extents})
}

// measureObject is compareObject where the content can be measured alone.
func (r *reading) measureObject(st *state, o *object) (text string, err error) {
	body, err := r.s.openBy(r.ctx, st, o, nil, nil)
	if errors.Is(err, errChanged) {
		return "", nil
	}
	if err != nil {
		return r.failed(err)
	}
	defer body.Close()
	return r.measure(body)
}

// measure reads all of a body that is sealed.
func (r *reading) measure(b *body) (text string, err error) {
	r.report.Sealed++
	if _, err := r.digest(b, b.rawSize()); err != nil {
		return r.failed(err)
	}
	return "", nil
}
