package diskstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cubby-storage/cubby/store"
)

// FindingKind says what is wrong with a store.
type FindingKind string

// The kinds of findings.
const (
	BadRow    FindingKind = "bad row"     // a row of the index cannot be read
	NoBucket  FindingKind = "no bucket"   // an object or upload is in a bucket that is not there
	Missing   FindingKind = "missing"     // content is gone
	Damaged   FindingKind = "damaged"     // content is too short, or is not what was put
	NoKey     FindingKind = "no key"      // content is encrypted, and the key to it is not there
	BadCount  FindingKind = "wrong count" // it is not counted right how often content is referred to
	BadIndex  FindingKind = "wrong index" // the uploads of an owner, or the versions of a key, are not those that a list shows
	LeftOver  FindingKind = "left over"   // nothing refers to a row or a file
	StrayFile FindingKind = "stray file"  // a file is none of the store's
)

// Finding is something that is wrong with a store.
type Finding struct {
	Kind   FindingKind `json:"kind"`
	Bucket string      `json:"bucket,omitempty"`
	Key    string      `json:"key,omitempty"`  // of the object or upload that it is about, if it is about one
	Blob   string      `json:"blob,omitempty"` // id of the content
	Text   string      `json:"text"`
	// Mendable says that Repair takes it away without losing content that anybody
	// can get, and Mended that it did.
	Mendable bool `json:"mendable"`
	Mended   bool `json:"mended,omitempty"`

	mend func() (*change, error)
}

// CheckOptions are the options of Check. The zero value is the default.
type CheckOptions struct {
	// Content has all content read and compared with its entity tag. Of what is
	// encrypted by the key of a customer only the size is compared.
	Content bool
	// Rate is how many bytes of content are read in a second at most; 0 means no limit.
	Rate int64
	// Progress, if not nil, is told how much of the content was read.
	Progress func(done, total int64)
	// Repair mends what can be: it removes what is left over, and makes counts and
	// the indexes of owners and of versions anew. Objects whose content is gone or damaged stay.
	Repair bool
}

// Report is what Check found.
type Report struct {
	Objects  int64     `json:"objects"`
	Versions int64     `json:"versions"`         // older ones, and delete markers
	Trash    int64     `json:"trash,omitempty"`  // objects that were deleted or overwritten and can be had back
	Parts    int64     `json:"parts"`            // of uploads that are not complete
	Bytes    int64     `json:"bytes"`            // of all
	Sealed   int64     `json:"sealed,omitempty"` // objects and parts of which only the size was compared
	Findings []Finding `json:"findings"`
}

// Check compares everything that the store holds with what refers to it. It may
// be called while the store is written to: it looks at the rows of one moment, and
// what is deleted meanwhile keeps its file until that is compared. It needs about
// 100 bytes of memory for each object.
func (s *Store) Check(ctx context.Context, opts *CheckOptions) (*Report, error) {
	r, err := s.check(ctx, opts)
	if err != nil {
		return nil, &store.Error{Op: "check store", Key: s.dir, Err: diskError(err)}
	}
	return r, nil
}

func (s *Store) check(ctx context.Context, opts *CheckOptions) (*Report, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.running.Done()
	if opts == nil {
		opts = new(CheckOptions)
	}
	c := newChecker(ctx, s)
	if err := c.rows(); err != nil {
		return nil, err
	}
	if opts.Content {
		if err := c.contents(opts); err != nil {
			return nil, err
		}
	}
	if opts.Repair {
		if err := c.mend(); err != nil {
			return nil, err
		}
	}
	return &c.report, nil
}

func (c *checker) found(f Finding, format string, args ...any) {
	f.Text = fmt.Sprintf(format, args...)
	f.Mendable = f.mend != nil
	c.report.Findings = append(c.report.Findings, f)
}

// mendTogether is how many findings are mended by one sync.
const mendTogether = 64

// errUncertain: a row that cannot be read may refer to what seems to be left over.
var errUncertain = errors.New("rows that cannot be read come first")

func (c *checker) mend() error {
	var changes []*change
	var fixed []*Finding
	settle := func() error {
		for _, ch := range changes {
			err := ch.settle()
			ch.close()
			if err != nil {
				return err
			}
		}
		for _, f := range fixed {
			f.Mended = true
		}
		changes, fixed = nil, nil
		return nil
	}
	for i := range c.report.Findings {
		f := &c.report.Findings[i]
		if f.mend == nil {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, settle())
		}
		ch, err := f.mend()
		if errors.Is(err, errUncertain) {
			continue
		}
		if err != nil {
			return errors.Join(err, settle())
		}
		changes, fixed = append(changes, ch), append(fixed, f)
		if len(changes) == mendTogether {
			if err := settle(); err != nil {
				return err
			}
		}
	}
	return settle()
}
