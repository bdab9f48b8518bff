// The unmodified aws-amplify client 5.3.41, whose Auth and Storage are classes.
// It reaches S3 over plain http, path style, at an address that it has built in.
// Of the identity pool it can only be told a region, of which it makes a host.
import '../process.mjs';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Amplify, Auth, Storage } from 'aws-amplify';
import { bytes, cubby, user } from '../process.mjs';

const tls = new URL(cubby.endpoint_tls);

Amplify.configure({
	Auth: {
		region: cubby.region,
		userPoolId: cubby.user_pool_id,
		userPoolWebClientId: cubby.user_pool_client_id,
		endpoint: cubby.user_pool_endpoint,
		identityPoolId: cubby.identity_pool_id,
		// https://cognito-identity.localhost:PORT/?.amazonaws.com
		identityPoolRegion: `localhost:${tls.port}?`,
		authenticationFlowType: 'USER_PASSWORD_AUTH',
	},
	Storage: { AWSS3: { bucket: cubby.bucket, region: cubby.region, dangerouslyConnectToHttpEndpointForTesting: true } },
});

const denied = (promise) =>
	assert.rejects(promise, (e) => {
		assert.ok(['AccessDenied', '403'].includes(e.name), `got ${e.name}: ${e.message}`);
		return true;
	});

// put signs with the keys that another call got before it, so after a change of
// user another call has to come first.
const signIn = async (name) => {
	const signedIn = await Auth.signIn(name, user(name).password);
	await Storage.list('');
	return signedIn;
};

const read = async (key, options) => new Uint8Array(await (await (await Storage.get(key, { ...options, download: true })).Body.blob()).arrayBuffer());
const mine = { level: 'private' };

let alice;

test('a guest has an identity and reads what is public, no more', async () => {
	const guest = await Auth.currentCredentials();
	assert.match(guest.identityId, /^[\w-]+:[0-9a-f-]{36}$/);
	assert.equal(guest.authenticated, false);
	const page = await Storage.list('');
	assert.deepEqual(page.results, []);
	assert.equal(page.hasNextToken, false);
	await denied(Storage.put('no.txt', 'x'));
	await denied(Storage.put('no.txt', 'x', mine));
	await denied(Storage.list('', mine));
});

test('alice signs in with her password', async () => {
	assert.equal((await signIn('alice')).username, 'alice');
	const { sub } = (await Auth.currentSession()).getIdToken().payload;
	assert.equal((await Auth.currentAuthenticatedUser()).attributes.sub, sub);
	const credentials = await Auth.currentCredentials();
	assert.ok(credentials.authenticated);
	alice = credentials.identityId;
});

test('a session is refreshed', async () => {
	const session = await Auth.currentSession();
	const who = await Auth.currentAuthenticatedUser();
	const fresh = await new Promise((done, fail) => who.refreshSession(session.getRefreshToken(), (e, s) => (e ? fail(e) : done(s))));
	assert.ok(fresh.isValid());
	assert.equal(fresh.getIdToken().payload.sub, session.getIdToken().payload.sub);
	assert.equal((await Auth.currentCredentials()).identityId, alice);
});

test('a small file goes up and comes back', async () => {
	const put = await Storage.put('v5/small.bin', bytes(1024), {
		...mine,
		contentType: 'image/png',
		metadata: { colour: 'blue' },
		contentDisposition: 'attachment',
		cacheControl: 'max-age=60',
		expires: new Date('2099-01-01T00:00:00Z'),
		tagging: 'kind=test&colour=light%20blue',
	});
	assert.deepEqual(put, { key: 'v5/small.bin' });
	const got = await Storage.get('v5/small.bin', { ...mine, download: true });
	assert.deepEqual(new Uint8Array(await (await got.Body.blob()).arrayBuffer()), bytes(1024));
	assert.equal(got.ContentType, 'image/png');
	assert.equal(got.CacheControl, 'max-age=60');
	assert.equal(got.ContentDisposition, 'attachment');
	assert.deepEqual(got.Metadata, { colour: 'blue' });
	const p = await Storage.getProperties('v5/small.bin', mine);
	assert.equal(p.contentLength, 1024);
	assert.equal(p.contentType, 'image/png');
	assert.equal(p.eTag, got.ETag);
	assert.deepEqual(p.metadata, { colour: 'blue' });
	assert.ok(p.lastModified instanceof Date);
});

test('12 MiB go up in parts', async () => {
	const data = bytes(12 << 20, 7);
	for (const form of [data, new Blob([data])]) {
		await Storage.put('v5/big.bin', form, mine);
		assert.match((await Storage.getProperties('v5/big.bin', mine)).eTag, /-3"?$/);
		assert.deepEqual(await read('v5/big.bin', mine), data);
	}
});

test('an upload that was given up is taken up by another for the same data', async () => {
	const data = bytes(33 << 20, 8);
	const upload = (callbacks) => Storage.put('v5/resumed.bin', new Blob([data]), { ...mine, resumable: true, ...callbacks });
	const given = await new Promise((progressCallback) => {
		const task = upload({ progressCallback: () => progressCallback(task) });
	});
	given.pause();
	await assert.rejects(Storage.getProperties('v5/resumed.bin', mine), (e) => e.$metadata.httpStatusCode === 404);
	const progress = [];
	await new Promise((completeCallback, errorCallback) => {
		upload({ completeCallback, errorCallback, progressCallback: (p) => progress.push(p) });
	});
	assert.ok(progress[0].loaded >= 5 << 20, 'it begins with the parts that are there');
	assert.equal(progress.at(-1).loaded, data.length);
	assert.deepEqual(await read('v5/resumed.bin', mine), data);
});

test('a list comes in pages', async () => {
	const names = ['a', 'b', 'c', 'd/e', 'd/f', 'ü & <x>.txt'];
	for (const name of names) await Storage.put(`v5/l/${name}`, name, mine);
	const seen = [];
	let nextToken;
	for (;;) {
		const page = await Storage.list('v5/l/', { ...mine, pageSize: 2, nextToken });
		assert.ok(page.results.length <= 2);
		seen.push(...page.results.map((i) => i.key.slice('v5/l/'.length)));
		if (!page.hasNextToken) break;
		nextToken = page.nextToken;
	}
	assert.deepEqual(seen, names);
	const { results } = await Storage.list('v5/l/', { ...mine, pageSize: 'ALL' });
	assert.deepEqual(results.map((i) => i.size), names.map((n) => Buffer.byteLength(n)));
});

test('a link can be fetched by anybody, a part of it too, and only for what it was made', async () => {
	const url = new URL(await Storage.get('v5/small.bin', { ...mine, expires: 60, validateObjectExistence: true, contentType: 'image/webp' }));
	assert.equal(url.host, 'localhost:20005');
	const got = await fetch(url);
	assert.equal(got.status, 200);
	assert.equal(got.headers.get('content-type'), 'image/webp');
	assert.deepEqual(new Uint8Array(await got.arrayBuffer()), bytes(1024));
	const part = await fetch(url, { headers: { range: 'bytes=1000-1023' } });
	assert.equal(part.status, 206);
	assert.deepEqual(new Uint8Array(await part.arrayBuffer()), bytes(1024).slice(1000));
	url.pathname = url.pathname.replace('small.bin', 'big.bin');
	assert.equal((await fetch(url)).status, 403);
	await assert.rejects(Storage.get('v5/none', { ...mine, validateObjectExistence: true }), (e) => e.$metadata.httpStatusCode === 404);
});

test('every level has a folder of its own, and a copy goes from one to another', async () => {
	for (const level of ['public', 'protected', 'private']) await Storage.put('v5/level.txt', level, { level });
	for (const level of ['public', 'protected', 'private']) {
		assert.equal(Buffer.from(await read('v5/level.txt', { level })).toString(), level);
	}
	await Storage.copy({ key: 'v5/small.bin', level: 'private' }, { key: 'v5/copy of it.bin', level: 'protected' });
	await Storage.copy({ key: 'v5/copy of it.bin', level: 'protected', identityId: alice }, { key: 'v5/and back.bin', level: 'private' });
	assert.deepEqual(await read('v5/and back.bin', mine), bytes(1024));
	assert.equal((await Storage.getProperties('v5/and back.bin', mine)).contentType, 'image/png');
});

test('a file is removed, and a folder file by file', async () => {
	await Storage.remove('v5/and back.bin', mine);
	await assert.rejects(Storage.getProperties('v5/and back.bin', mine), (e) => e.$metadata.httpStatusCode === 404);
	for (const { key } of (await Storage.list('v5/l/', { ...mine, pageSize: 'ALL' })).results) await Storage.remove(key, mine);
	assert.deepEqual((await Storage.list('v5/l/', mine)).results, []);
});

test('over https the bucket is in the name of the host', async () => {
	const secure = { ...mine, region: `localhost:${tls.port}?`, dangerouslyConnectToHttpEndpointForTesting: false };
	await Storage.put('v5/tls.txt', 'over https', secure);
	await Storage.put('v5/tls big.bin', bytes(6 << 20), secure);
	await Storage.copy({ key: 'v5/tls.txt', level: 'private' }, { key: 'v5/tls copy.txt', level: 'private' }, secure);
	assert.equal(Buffer.from(await read('v5/tls copy.txt', secure)).toString(), 'over https');
	assert.deepEqual(await read('v5/tls big.bin', secure), bytes(6 << 20));
	assert.equal((await Storage.getProperties('v5/tls.txt', secure)).contentLength, 10);
	const url = new URL(await Storage.get('v5/tls.txt', secure));
	assert.equal(url.host, `${cubby.bucket}.s3.localhost:${tls.port}`);
	assert.equal(await (await fetch(url)).text(), 'over https');
	const { results } = await Storage.list('v5/tls', secure);
	assert.deepEqual(results.map((i) => i.key), ['v5/tls big.bin', 'v5/tls copy.txt', 'v5/tls.txt']);
	for (const { key } of results) await Storage.remove(key, secure);
	assert.deepEqual((await Storage.list('v5/tls', secure)).results, []);
});

test('a bucket with a dot in its name stands in the path', async () => {
	const dotted = { ...mine, bucket: 'my.bucket', region: `localhost:${tls.port}?`, dangerouslyConnectToHttpEndpointForTesting: false };
	await Storage.put('v5/dotted.txt', 'dotted', dotted);
	assert.equal(Buffer.from(await read('v5/dotted.txt', dotted)).toString(), 'dotted');
	assert.deepEqual((await Storage.list('v5/', dotted)).results.map((i) => i.key), ['v5/dotted.txt']);
	await Storage.remove('v5/dotted.txt', dotted);
	assert.deepEqual((await Storage.list('v5/', dotted)).results, []);
});

test('bob, though an administrator, does not get at what is private to alice', async () => {
	await Auth.signOut();
	await signIn('bob');
	const bob = (await Auth.currentCredentials()).identityId;
	assert.notEqual(bob, alice);
	// The class knows levels, not paths: with an empty prefix a key is a path.
	const at = { customPrefix: { public: '' } };
	const hers = `private/${alice}/v5/small.bin`;
	await denied(Storage.get(hers, { ...at, download: true }));
	await denied(Storage.put(hers, 'x', at));
	await denied(Storage.put(`protected/${alice}/v5/x`, bytes(6 << 20), at));
	await denied(Storage.remove(hers, at));
	await denied(Storage.list(`private/${alice}/`, at));
	await denied(Storage.getProperties(hers, at));
	await denied(Storage.copy({ key: hers }, { key: `private/${bob}/stolen.bin` }, at));
	assert.equal((await fetch(await Storage.get(hers, at))).status, 403);
	assert.deepEqual(await read('v5/copy of it.bin', { level: 'protected', identityId: alice }), bytes(1024));
	await Storage.put('admin/v5.txt', 'for administrators', at);
	await Storage.put('v5/mine.txt', 'still mine', mine);
});

test('a wrong password is refused, and signed out is a guest again', async () => {
	await Auth.signOut();
	await assert.rejects(Auth.signIn('alice', 'wrong-password'), { name: 'NotAuthorizedException' });
	const guest = await Auth.currentCredentials();
	assert.equal(guest.authenticated, false);
	assert.notEqual(guest.identityId, alice);
	assert.equal(Buffer.from(await read('v5/level.txt')).toString(), 'public');
	await denied(Storage.get('admin/v5.txt', { customPrefix: { public: '' }, download: true }));
});
