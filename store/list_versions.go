package store

// VersionCursor walks over the versions and delete markers of a driver: in the
// ascending order of the bytes of their keys, and for each key from the latest to
// the oldest. One that has not been moved, or whose last move was false, stands
// nowhere.
type VersionCursor interface {
	// Seek moves to the latest version of the first key that is not less than key,
	// which may be "". It is false if there is none, or on an error.
	Seek(key string) bool
	// SeekAfter moves to the first version that comes after the one of key at this
	// place, which is one that Place returned or the id of a version. It need not be
	// there any more; without a null version that place is before all versions of
	// key. It is false if there is none, or on an error.
	SeekAfter(key, place string) bool
	// Next moves to the next version. It is false if there is none, or on an error.
	Next() bool
	// Key is the key of the version that the cursor stands on.
	Key() string
	// Place is where the cursor stands among the versions of the key. It may be
	// the id of the version, unless that may come to be that of another one, as
	// NullVersion does.
	Place() string
	// Version describes the version that the cursor stands on, as
	// VersionsPage.Versions does.
	Version() (Version, error)
	// Err is the error that ended the walk, or nil.
	Err() error
}

// ListVersionsCursor makes the page of a list of the versions that c walks over.
// It seeks as [ListCursor] does. The error is fs.ErrInvalid for a negative limit,
// or that of c.
func ListVersionsCursor(c VersionCursor, opts *ListVersionsOptions) (*VersionsPage, error) {
	if opts == nil {
		opts = new(ListVersionsOptions)
	}
	limit, err := PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	page := new(VersionsPage)
	w := newWindow(opts.Prefix, opts.Delimiter, opts.Ranges)
	page.More, err = w.walk(c, w.seekAfter(c, opts.AfterKey, opts.AfterVersion), limit, func(key, roll string) error {
		if roll != "" {
			page.Prefixes = append(page.Prefixes, roll)
			page.NextKey, page.NextVersion = roll, ""
			return nil
		}
		v, err := c.Version()
		page.Versions = append(grow(page.Versions, limit), v)
		page.NextKey, page.NextVersion = key, c.Place()
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}
