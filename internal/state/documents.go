package state

import "context"

// Document is a setting of a bucket.
type Document struct {
	Bucket, Name string
	Text         string
}

// Documents returns the settings of all buckets.
func (t *Tx) Documents(ctx context.Context) ([]Document, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT bucket, name, text FROM bucket_documents ORDER BY bucket, name`)
	if err != nil {
		return nil, wrap("list documents", "", err)
	}
	defer rows.Close()
	var all []Document
	for rows.Next() {
		var d Document
		if err := rows.Scan(&d.Bucket, &d.Name, &d.Text); err != nil {
			return nil, wrap("list documents", "", err)
		}
		all = append(all, d)
	}
	return all, wrap("list documents", "", rows.Err())
}

// SetDocument keeps a setting in place of the one of that name. One without a text is
// removed; it need not be there.
func (t *Tx) SetDocument(ctx context.Context, d Document) error {
	query, args := `INSERT INTO bucket_documents (bucket, name, text) VALUES (?, ?, ?)
		ON CONFLICT (bucket, name) DO UPDATE SET text = excluded.text`, []any{d.Bucket, d.Name, d.Text}
	if d.Text == "" {
		query, args = `DELETE FROM bucket_documents WHERE bucket = ? AND name = ?`, args[:2]
	}
	_, err := t.tx.ExecContext(ctx, query, args...)
	return wrap("keep document of", d.Bucket, err)
}

// ForgetDocuments removes all settings of a bucket.
func (t *Tx) ForgetDocuments(ctx context.Context, bucket string) error {
	_, err := t.tx.ExecContext(ctx, `DELETE FROM bucket_documents WHERE bucket = ?`, bucket)
	return wrap("forget documents of", bucket, err)
}
