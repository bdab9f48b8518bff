-- Times are seconds since 1970.

-- An identity is here once a login is bound to it. A guest is not.
-- merged_into names the identity that took its place: such an id is retired
-- and never again yields credentials. disabled is set by an operator.
CREATE TABLE identities (
	id          TEXT PRIMARY KEY,
	created     INTEGER NOT NULL,
	disabled    INTEGER NOT NULL DEFAULT 0,
	merged_into TEXT REFERENCES identities (id)
) STRICT, WITHOUT ROWID;

-- A login is a provider's id and the subject that it knows somebody by.
CREATE TABLE logins (
	provider TEXT NOT NULL,
	subject  TEXT NOT NULL,
	identity TEXT NOT NULL REFERENCES identities (id),
	created  INTEGER NOT NULL,
	PRIMARY KEY (provider, subject),
	UNIQUE (identity, provider)
) STRICT, WITHOUT ROWID;

-- epoch counts how often the sessions of a login were ended. Tokens issued
-- before signed_out are worth nothing either. A row is apart from logins, for
-- it may come before the login is bound. seq is the change that wrote it.
CREATE TABLE epochs (
	provider   TEXT NOT NULL,
	subject    TEXT NOT NULL,
	epoch      INTEGER NOT NULL,
	changed    INTEGER NOT NULL,
	signed_out INTEGER NOT NULL DEFAULT 0,
	seq        INTEGER NOT NULL,
	PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX epochs_seq ON epochs (seq);

-- sealed is the secret, sealed by the caller; the state cannot read it.
CREATE TABLE operator_keys (
	id      TEXT PRIMARY KEY,
	name    TEXT NOT NULL,
	sealed  BLOB NOT NULL,
	created INTEGER NOT NULL,
	revoked INTEGER
) STRICT, WITHOUT ROWID;

-- One counter for each thing that programs hold in memory, raised by whoever
-- changes it.
CREATE TABLE changes (
	topic TEXT PRIMARY KEY,
	seq   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO changes (topic, seq) VALUES ('epochs', 0), ('operator_keys', 0);

-- Values made once and kept: the ids of the pools, sealed signing keys.
CREATE TABLE settings (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
