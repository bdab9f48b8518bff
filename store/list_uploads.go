package store

// UploadCursor walks over open uploads of a driver in the ascending order of the
// bytes of their keys; those of one key follow each other in the order of their
// ids, which is that of the time they started, as it is of those that
// [NewUploadID] makes. One that has not been moved, or whose last move was false,
// stands nowhere.
type UploadCursor interface {
	// Seek moves to the first upload whose key is not less than key, which may
	// be "". It is false if there is none, or on an error.
	Seek(key string) bool
	// SeekAfter moves to the first upload that comes after the one of key with
	// this id, which need not be there. It is false if there is none, or on an error.
	SeekAfter(key, id string) bool
	// Next moves to the next upload. It is false if there is none, or on an error.
	Next() bool
	// Key is the key of the upload that the cursor stands on.
	Key() string
	// Upload describes the upload that the cursor stands on.
	Upload() (Upload, error)
	// Err is the error that ended the walk, or nil.
	Err() error
}

// ListUploads makes the page of a list of the uploads that c walks over: where
// opts have an owner, c has only theirs, so that neither the work nor the end of
// a page depends on those of others. It seeks as [ListCursor] does. The error is
// fs.ErrInvalid for a negative limit, or that of c.
func ListUploads(c UploadCursor, opts *ListUploadsOptions) (*UploadsPage, error) {
	if opts == nil {
		opts = new(ListUploadsOptions)
	}
	limit, err := PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	page := new(UploadsPage)
	w := newWindow(opts.Prefix, opts.Delimiter, opts.Ranges)
	page.More, err = w.walk(c, w.seekAfter(c, opts.AfterKey, opts.AfterID), limit, func(key, roll string) error {
		if roll != "" {
			page.Prefixes = append(page.Prefixes, roll)
			page.NextKey, page.NextID = roll, ""
			return nil
		}
		u, err := c.Upload()
		page.Uploads = append(grow(page.Uploads, limit), u)
		page.NextKey, page.NextID = key, u.ID
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// resumer is a cursor that can go on inside a key.
type resumer interface {
	Seek(key string) bool
	SeekAfter(key, id string) bool
}

// seekAfter moves c to where the list after id of key begins, or after key if id is "".
func (w *window) seekAfter(c resumer, key, id string) bool {
	if key == "" || id == "" || w.roll(key) == key {
		pos, ok := w.start(key)
		return ok && c.Seek(pos)
	}
	pos, ok := w.next(key)
	if ok && pos == key {
		return c.SeekAfter(key, id)
	}
	return ok && c.Seek(pos)
}
