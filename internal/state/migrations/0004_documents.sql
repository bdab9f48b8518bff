-- Settings that operators give a bucket over S3, such as CORS rules. The objects of
-- the bucket lie elsewhere, so nothing here refers to it.
CREATE TABLE bucket_documents (
	bucket TEXT NOT NULL,
	name   TEXT NOT NULL,
	text   TEXT NOT NULL,
	PRIMARY KEY (bucket, name)
) STRICT, WITHOUT ROWID;
