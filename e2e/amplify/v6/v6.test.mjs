// The unmodified aws-amplify client, newest version, over https.
import '../process.mjs';
import { test, before } from 'node:test';
import assert from 'node:assert/strict';
import { Amplify } from 'aws-amplify';
import { fetchAuthSession, signIn, signOut, getCurrentUser, fetchUserAttributes } from 'aws-amplify/auth';
import { uploadData, downloadData, getUrl, list, remove, copy, getProperties, isCancelError } from 'aws-amplify/storage';
import { bytes, cubby, user } from '../process.mjs';

const tls = new URL(cubby.endpoint_tls);

before(() => {
	Amplify.configure({
		Auth: {
			Cognito: {
				userPoolId: cubby.user_pool_id,
				userPoolClientId: cubby.user_pool_client_id,
				userPoolEndpoint: cubby.user_pool_endpoint,
				identityPoolId: cubby.identity_pool_id,
				identityPoolEndpoint: cubby.identity_pool_endpoint,
				allowGuestAccess: true,
			},
		},
		// The client makes https://BUCKET.s3.REGION.amazonaws.com of the region;
		// the question mark turns the end of it into a query.
		Storage: { S3: { bucket: cubby.bucket, region: `localhost:${tls.port}?` } },
	});
});

const denied = (promise) =>
	assert.rejects(promise, (e) => {
		assert.ok(['AccessDenied', '403'].includes(e.name), `got ${e.name}: ${e.message}`);
		return true;
	});

const read = async (path, options) => new Uint8Array(await (await (await downloadData({ path, options }).result).body.blob()).arrayBuffer());
const own = (rest) => ({ identityId }) => `private/${identityId}/${rest}`;

let guest, alice;

test('a guest has an identity and reads what is public, no more', async () => {
	const session = await fetchAuthSession();
	guest = session.identityId;
	assert.match(guest, /^[\w-]+:[0-9a-f-]{36}$/);
	assert.equal(session.tokens, undefined);
	const { items } = await list({ path: 'public/' });
	assert.deepEqual(items, []);
	await denied(uploadData({ path: 'public/no.txt', data: 'x' }).result);
	await denied(uploadData({ path: own('no.txt'), data: 'x' }).result);
	await denied(list({ path: 'admin/' }));
});

test('alice signs in with her password and keeps the identity of the guest', async () => {
	const { isSignedIn } = await signIn({
		username: 'alice',
		password: user('alice').password,
		options: { authFlowType: 'USER_PASSWORD_AUTH' },
	});
	assert.ok(isSignedIn);
	const session = await fetchAuthSession();
	alice = session.identityId;
	assert.ok(session.tokens.idToken);
	assert.equal((await getCurrentUser()).username, 'alice');
	assert.equal((await fetchUserAttributes()).sub, session.userSub);
});

test('a small file goes up and comes back', async () => {
	const data = bytes(1024);
	const up = await uploadData({
		path: own('small.bin'),
		data,
		options: { contentType: 'image/png', metadata: { colour: 'blue' }, contentDisposition: 'attachment', cacheControl: 'max-age=60' },
	}).result;
	assert.equal(up.path, `private/${alice}/small.bin`);
	assert.ok(up.eTag);
	assert.deepEqual(await read(own('small.bin')), data);
	const p = await getProperties({ path: own('small.bin') });
	assert.equal(p.size, 1024);
	assert.equal(p.contentType, 'image/png');
	assert.deepEqual(p.metadata, { colour: 'blue' });
	assert.equal(p.eTag, up.eTag);
	assert.ok(p.lastModified instanceof Date);
});

test('12 MiB go up in parts, with and without a checksum', async () => {
	const data = bytes(12 << 20, 7);
	for (const checksumAlgorithm of [undefined, 'crc-32']) {
		const up = await uploadData({ path: own('big.bin'), data, options: { checksumAlgorithm } }).result;
		assert.match(up.eTag, /-3"?$/);
		assert.deepEqual(await read(own('big.bin')), data);
	}
	const middle = await read(own('big.bin'), { bytesRange: { start: 5 << 20, end: (5 << 20) + 99 } });
	assert.deepEqual(middle, data.slice(5 << 20, (5 << 20) + 100));
});

test('a Blob and a File go up unsigned, in one part and in several', async () => {
	await uploadData({ path: own('blob.txt'), data: new Blob(['from a blob']) }).result;
	assert.equal(Buffer.from(await read(own('blob.txt'))).toString(), 'from a blob');
	assert.equal((await getProperties({ path: own('blob.txt') })).contentType, 'text/plain');
	const big = bytes(6 << 20, 3);
	await uploadData({ path: own('file.bin'), data: new File([big], 'holiday.mp4', { type: 'video/mp4' }) }).result;
	assert.deepEqual(await read(own('file.bin')), big);
	assert.equal((await getProperties({ path: own('file.bin') })).contentType, 'video/mp4');
});

// once returns a promise that is kept when a request was answered for which
// test(url, method) holds.
const once = (test) =>
	new Promise((seen) => {
		const { fetch } = globalThis;
		globalThis.fetch = async (url, options) => {
			const answer = await fetch(url, options);
			if (answer.ok && test(String(url), options?.method)) {
				globalThis.fetch = fetch;
				seen();
			}
			return answer;
		};
	});

test('an upload that was paused goes on', async () => {
	const data = bytes(33 << 20, 9);
	const part = once((url) => url.includes('partNumber='));
	const task = uploadData({ path: own('paused.bin'), data });
	await part;
	task.pause();
	assert.equal(task.state, 'PAUSED');
	await assert.rejects(getProperties({ path: own('paused.bin') }), { name: 'NotFound' });
	task.resume();
	assert.match((await task.result).eTag, /-7"?$/);
	assert.deepEqual(await read(own('paused.bin')), data);
});

test('an upload that was cancelled leaves nothing', async () => {
	const part = once((url) => url.includes('partNumber='));
	const task = uploadData({ path: own('cancelled.bin'), data: bytes(33 << 20) });
	await part;
	const aborted = once((url, method) => method === 'DELETE' && url.includes('uploadId='));
	task.cancel('enough');
	await assert.rejects(task.result, (e) => isCancelError(e) && e.message === 'enough');
	await aborted;
	await assert.rejects(getProperties({ path: own('cancelled.bin') }), { name: 'NotFound' });
});

test('a list comes in pages, and can leave out what lies deeper', async () => {
	for (const name of ['l/a', 'l/b', 'l/c', 'l/d/e', 'l/d/f', 'l/ü & <x>.txt']) {
		await uploadData({ path: own(name), data: name }).result;
	}
	const dir = `private/${alice}/l/`;
	const seen = [];
	let nextToken;
	do {
		const page = await list({ path: dir, options: { pageSize: 2, nextToken } });
		assert.ok(page.items.length <= 2);
		seen.push(...page.items.map((i) => i.path.slice(dir.length)));
		nextToken = page.nextToken;
	} while (nextToken);
	assert.deepEqual(seen, ['a', 'b', 'c', 'd/e', 'd/f', 'ü & <x>.txt']);
	const flat = await list({ path: dir, options: { listAll: true, subpathStrategy: { strategy: 'exclude' } } });
	assert.deepEqual(flat.items.map((i) => i.path.slice(dir.length)), ['a', 'b', 'c', 'ü & <x>.txt']);
	assert.deepEqual(flat.excludedSubpaths, [`${dir}d/`]);
});

test('a link can be fetched by anybody, and a signed PUT stores', async () => {
	const { url, expiresAt } = await getUrl({ path: own('small.bin'), options: { validateObjectExistence: true, expiresIn: 60 } });
	assert.ok(expiresAt > new Date());
	const got = await fetch(url);
	assert.equal(got.status, 200);
	assert.deepEqual(new Uint8Array(await got.arrayBuffer()), bytes(1024));
	const forged = new URL(url);
	forged.pathname = forged.pathname.replace('small.bin', 'big.bin');
	assert.equal((await fetch(forged)).status, 403);
	const put = await getUrl({ path: own('put.txt'), options: { method: 'PUT', contentType: 'text/plain' } });
	const answer = await fetch(put.url, { method: 'PUT', body: 'by link', headers: { 'content-type': 'text/plain' } });
	assert.equal(answer.status, 200);
	assert.equal(Buffer.from(await read(own('put.txt'))).toString(), 'by link');
});

test('a copy needs the source and the destination', async () => {
	await copy({ source: { path: own('small.bin') }, destination: { path: ({ identityId }) => `protected/${identityId}/copy of it.bin` } });
	assert.deepEqual(await read(({ identityId }) => `protected/${identityId}/copy of it.bin`), bytes(1024));
	await denied(copy({ source: { path: own('small.bin') }, destination: { path: 'admin/copy.bin' } }));
	await denied(copy({ source: { path: 'admin/secret.txt' }, destination: { path: own('stolen.bin') } }));
});

test('preventOverwrite leaves what is there', async () => {
	await assert.rejects(uploadData({ path: own('small.bin'), data: 'other', options: { preventOverwrite: true } }).result, { name: 'PreconditionFailed' });
	await assert.rejects(uploadData({ path: own('big.bin'), data: bytes(6 << 20), options: { preventOverwrite: true } }).result, { name: 'PreconditionFailed' });
	assert.deepEqual(await read(own('small.bin')), bytes(1024));
});

test('a file and a folder are removed', async () => {
	await remove({ path: own('put.txt') });
	await assert.rejects(getProperties({ path: own('put.txt') }), { name: 'NotFound' });
	const progress = [];
	await remove({ path: `private/${alice}/l/`, options: { onProgress: (p) => progress.push(p) } }).result;
	assert.equal(progress.length, 1);
	assert.equal(progress[0].deleted.length, 6);
	assert.deepEqual(progress[0].failed ?? [], []);
	assert.deepEqual((await list({ path: `private/${alice}/l/`, options: { listAll: true } })).items, []);
});

test('the deprecated keys and levels find the same files', async () => {
	for (const [accessLevel, folder] of [['guest', 'public'], ['protected', `protected/${alice}`], ['private', `private/${alice}`]]) {
		await uploadData({ key: 'by key.txt', data: accessLevel, options: { accessLevel } }).result;
		assert.equal(Buffer.from(await read(`${folder}/by key.txt`)).toString(), accessLevel);
		const { items } = await list({ prefix: 'by', options: { accessLevel } });
		assert.deepEqual(items.map((i) => i.key), ['by key.txt']);
	}
	const got = await downloadData({ key: 'by key.txt', options: { accessLevel: 'protected', targetIdentityId: alice } }).result;
	assert.equal(await got.body.text(), 'protected');
});

test('bob, though an administrator, does not get at what is private to alice', async () => {
	await signOut();
	await signIn({ username: 'bob', password: user('bob').password, options: { authFlowType: 'USER_PASSWORD_AUTH' } });
	const { identityId: bob } = await fetchAuthSession();
	assert.notEqual(bob, alice);
	await denied(downloadData({ path: `private/${alice}/small.bin` }).result);
	await denied(uploadData({ path: `private/${alice}/small.bin`, data: 'x' }).result);
	await denied(uploadData({ path: `protected/${alice}/x`, data: 'x' }).result);
	await denied(remove({ path: `private/${alice}/small.bin` }));
	await denied(list({ path: `private/${alice}/` }));
	await denied(getProperties({ path: `private/${alice}/small.bin` }));
	await denied(getUrl({ path: `private/${alice}/small.bin`, options: { validateObjectExistence: true } }));
	await denied(copy({ source: { path: `private/${alice}/small.bin` }, destination: { path: own('stolen.bin') } }));
	await denied(remove({ path: `private/${alice}/` }).result);
	assert.equal((await fetch((await getUrl({ path: `private/${alice}/small.bin` })).url)).status, 403);
	assert.deepEqual(await read(`protected/${alice}/copy of it.bin`), bytes(1024));
	// A group adds rights. It does not take the others away.
	await uploadData({ path: 'admin/secret.txt', data: 'for administrators' }).result;
	await uploadData({ path: own('mine.txt'), data: 'still mine' }).result;
	await uploadData({ path: 'public/hello.txt', data: 'hello' }).result;
});

test('a wrong password is refused, and signed out is a guest again', async () => {
	await signOut();
	await assert.rejects(signIn({ username: 'alice', password: 'wrong-password', options: { authFlowType: 'USER_PASSWORD_AUTH' } }), { name: 'NotAuthorizedException' });
	const session = await fetchAuthSession();
	assert.equal(session.tokens, undefined);
	assert.notEqual(session.identityId, alice);
	assert.equal(Buffer.from(await read('public/hello.txt')).toString(), 'hello');
	await denied(downloadData({ path: 'admin/secret.txt' }).result);
});
