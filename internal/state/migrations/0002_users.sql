-- The user directory of the built-in pool. Times are seconds since 1970.

-- Every name that a user ever had, also of users who are gone: rules may name
-- a user by it, so that nobody else may ever get it.
CREATE TABLE user_names (
	name    TEXT PRIMARY KEY,
	sub     TEXT NOT NULL,
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- sub never changes. attributes is a JSON object of strings. salt and verifier
-- are those of SRP, the verifier sealed by the caller; both are NULL for a user
-- without a password. epoch counts how often all sessions were ended at once.
CREATE TABLE users (
	sub        TEXT PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE REFERENCES user_names (name),
	status     TEXT NOT NULL,
	enabled    INTEGER NOT NULL DEFAULT 1,
	dev        INTEGER NOT NULL DEFAULT 0,
	attributes TEXT NOT NULL DEFAULT '{}',
	salt       BLOB,
	verifier   BLOB,
	epoch      INTEGER NOT NULL DEFAULT 0,
	created    INTEGER NOT NULL,
	modified   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A lower precedence comes first; NULL comes last.
CREATE TABLE user_groups (
	name        TEXT PRIMARY KEY,
	description TEXT NOT NULL DEFAULT '',
	precedence  INTEGER,
	created     INTEGER NOT NULL,
	modified    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_group_members (
	sub        TEXT NOT NULL REFERENCES users (sub) ON DELETE CASCADE,
	group_name TEXT NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
	created    INTEGER NOT NULL,
	PRIMARY KEY (sub, group_name)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_group_members_group ON user_group_members (group_name, sub);

-- A session is one sign-in; its id is the origin_jti of every token made from
-- it. It is good while it is not revoked, not expired, and its epoch is that
-- of its user.
CREATE TABLE user_sessions (
	id        TEXT PRIMARY KEY,
	sub       TEXT NOT NULL REFERENCES users (sub) ON DELETE CASCADE,
	client    TEXT NOT NULL,
	epoch     INTEGER NOT NULL,
	auth_time INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	revoked   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX user_sessions_sub ON user_sessions (sub);
CREATE INDEX user_sessions_expires ON user_sessions (expires);

-- Of a refresh token only the hash is kept. replaced is when a newer token of
-- the same session took its place: if it is shown again after that, somebody
-- copied it.
CREATE TABLE user_refresh_tokens (
	id       TEXT PRIMARY KEY,
	session  TEXT NOT NULL REFERENCES user_sessions (id) ON DELETE CASCADE,
	hash     BLOB NOT NULL,
	created  INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	replaced INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX user_refresh_tokens_session ON user_refresh_tokens (session);

-- Keys of the directory, sealed by the caller. A retired key makes nothing new;
-- what it made is good while the row is here.
CREATE TABLE user_keys (
	id      TEXT PRIMARY KEY,
	purpose TEXT NOT NULL,
	sealed  BLOB NOT NULL,
	created INTEGER NOT NULL,
	retired INTEGER
) STRICT, WITHOUT ROWID;

-- Failed sign-ins by a keyed hash of the name that was tried, whether there is
-- a user of that name or not. No attempt is looked at before until.
CREATE TABLE user_failures (
	who     BLOB PRIMARY KEY,
	count   INTEGER NOT NULL,
	last    INTEGER NOT NULL,
	until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX user_failures_last ON user_failures (last);
