// The unmodified aws-amplify client 6.8.2. It is the last that reaches S3 over
// plain http, path style, at an address that it has built in; and it cannot be
// told where the identity pool is, so the app gets the credentials itself.
import '../process.mjs';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Amplify } from 'aws-amplify';
import { fetchAuthSession, signIn, signOut, getCurrentUser, fetchUserAttributes } from 'aws-amplify/auth';
import { cognitoUserPoolsTokenProvider } from 'aws-amplify/auth/cognito';
import { uploadData, downloadData, getUrl, list, remove, copy, getProperties, isCancelError } from 'aws-amplify/storage';
import { bytes, cubby, user } from '../process.mjs';

const identityPool = async (operation, body) => {
	const answer = await fetch(cubby.identity_pool_endpoint, {
		method: 'POST',
		headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `AWSCognitoIdentityService.${operation}` },
		body: JSON.stringify(body),
	});
	assert.equal(answer.status, 200, await answer.clone().text());
	return answer.json();
};

// The identity of a visitor and the keys that go with it, until another signs in.
const credentialsProvider = {
	async getCredentialsAndIdentityId({ tokens, forceRefresh }) {
		const token = tokens?.idToken;
		if (forceRefresh || !this.known || this.token !== token?.toString()) {
			const Logins = token ? { [token.payload.iss.replace(/^https?:\/\//, '')]: token.toString() } : {};
			const { IdentityId } = await identityPool('GetId', { IdentityPoolId: cubby.identity_pool_id, Logins });
			const { Credentials: c } = await identityPool('GetCredentialsForIdentity', { IdentityId, Logins });
			this.token = token?.toString();
			this.known = {
				identityId: IdentityId,
				credentials: { accessKeyId: c.AccessKeyId, secretAccessKey: c.SecretKey, sessionToken: c.SessionToken, expiration: new Date(c.Expiration * 1000) },
			};
		}
		return this.known;
	},
	clearCredentialsAndIdentityId() {
		this.known = undefined;
	},
};

const configure = (S3) => {
	const Auth = {
		Cognito: {
			userPoolId: cubby.user_pool_id,
			userPoolClientId: cubby.user_pool_client_id,
			userPoolEndpoint: cubby.user_pool_endpoint,
			identityPoolId: cubby.identity_pool_id,
			allowGuestAccess: true,
		},
	};
	cognitoUserPoolsTokenProvider.setAuthConfig(Auth);
	Amplify.configure({ Auth, Storage: { S3 } }, { Auth: { tokenProvider: cognitoUserPoolsTokenProvider, credentialsProvider } });
};

configure({ bucket: cubby.bucket, region: cubby.region, dangerouslyConnectToHttpEndpointForTesting: true });

const denied = (promise) =>
	assert.rejects(promise, (e) => {
		assert.ok(['AccessDenied', '403'].includes(e.name), `got ${e.name}: ${e.message}`);
		return true;
	});

const login = (name) => signIn({ username: name, password: user(name).password, options: { authFlowType: 'USER_PASSWORD_AUTH' } });
const read = async (path, options) => new Uint8Array(await (await (await downloadData({ path, options }).result).body.blob()).arrayBuffer());
const own = (rest) => ({ identityId }) => `private/${identityId}/v6.8/${rest}`;
const shown = (rest) => ({ identityId }) => `protected/${identityId}/v6.8/${rest}`;

let alice;

test('a guest has an identity and reads what is public, no more', async () => {
	const session = await fetchAuthSession();
	assert.match(session.identityId, /^[\w-]+:[0-9a-f-]{36}$/);
	assert.equal(session.tokens, undefined);
	assert.deepEqual((await list({ path: 'public/' })).items, []);
	await denied(uploadData({ path: 'public/no.txt', data: 'x' }).result);
	await denied(uploadData({ path: own('no.txt'), data: 'x' }).result);
	await denied(list({ path: 'admin/' }));
});

test('alice signs in with her password', async () => {
	assert.ok((await login('alice')).isSignedIn);
	const session = await fetchAuthSession();
	alice = session.identityId;
	assert.equal((await getCurrentUser()).username, 'alice');
	assert.equal((await fetchUserAttributes()).sub, session.userSub);
});

test('a small file goes up and comes back', async () => {
	const data = bytes(1024);
	const up = await uploadData({
		path: own('small.bin'),
		data,
		options: { contentType: 'image/png', metadata: { colour: 'blue' }, contentDisposition: { type: 'attachment', filename: 'small one.png' } },
	}).result;
	assert.equal(up.path, `private/${alice}/v6.8/small.bin`);
	assert.deepEqual(await read(own('small.bin')), data);
	assert.deepEqual(await read(own('small.bin'), { bytesRange: { start: 1000, end: 1023 } }), data.slice(1000));
	const p = await getProperties({ path: own('small.bin') });
	assert.equal(p.size, 1024);
	assert.equal(p.contentType, 'image/png');
	assert.deepEqual(p.metadata, { colour: 'blue' });
	assert.equal(p.eTag, up.eTag);
});

test('12 MiB go up in parts, and a range of them comes back', async () => {
	const data = bytes(12 << 20, 7);
	for (const form of [data, new Blob([data])]) {
		const up = await uploadData({ path: own('big.bin'), data: form }).result;
		assert.match(up.eTag, /-3"?$/);
		assert.deepEqual(await read(own('big.bin')), data);
	}
	assert.deepEqual(await read(own('big.bin'), { bytesRange: { start: 5 << 20, end: (5 << 20) + 99 } }), data.slice(5 << 20, (5 << 20) + 100));
});

test('an upload that is cancelled leaves nothing', async () => {
	const task = uploadData({ path: own('cancelled.bin'), data: bytes(12 << 20) });
	task.cancel('enough');
	await assert.rejects(task.result, (e) => isCancelError(e) && e.message === 'enough');
	await assert.rejects(getProperties({ path: own('cancelled.bin') }), { name: 'NotFound' });
});

test('a list comes in pages, and can leave out what lies deeper', async () => {
	const names = ['a', 'b', 'c', 'd/e', 'd/f', 'ü & <x>.txt'];
	for (const name of names) await uploadData({ path: own(`l/${name}`), data: name }).result;
	const dir = `private/${alice}/v6.8/l/`;
	const seen = [];
	let nextToken;
	do {
		const page = await list({ path: dir, options: { pageSize: 2, nextToken } });
		assert.ok(page.items.length <= 2);
		seen.push(...page.items.map((i) => i.path.slice(dir.length)));
		nextToken = page.nextToken;
	} while (nextToken);
	assert.deepEqual(seen, names);
	const flat = await list({ path: dir, options: { listAll: true, subpathStrategy: { strategy: 'exclude' } } });
	assert.deepEqual(flat.items.map((i) => i.path.slice(dir.length)), ['a', 'b', 'c', 'ü & <x>.txt']);
	assert.deepEqual(flat.excludedSubpaths, [`${dir}d/`]);
});

test('a link can be fetched by anybody, and only for what it was made', async () => {
	const { url, expiresAt } = await getUrl({
		path: own('small.bin'),
		options: { validateObjectExistence: true, expiresIn: 60, contentType: 'image/webp', contentDisposition: 'inline; filename="x.webp"' },
	});
	assert.ok(expiresAt > new Date());
	assert.equal(url.host, 'localhost:20005');
	const got = await fetch(url);
	assert.equal(got.status, 200);
	assert.equal(got.headers.get('content-type'), 'image/webp');
	assert.equal(got.headers.get('content-disposition'), 'inline; filename="x.webp"');
	assert.deepEqual(new Uint8Array(await got.arrayBuffer()), bytes(1024));
	const forged = new URL(url);
	forged.pathname = forged.pathname.replace('small.bin', 'big.bin');
	assert.equal((await fetch(forged)).status, 403);
	await assert.rejects(getUrl({ path: own('none'), options: { validateObjectExistence: true } }), { name: 'NotFound' });
});

test('a copy needs the source and the destination', async () => {
	await copy({ source: { path: own('small.bin') }, destination: { path: shown('copy of it.bin') } });
	await copy({ source: { path: shown('copy of it.bin') }, destination: { path: own('and back.bin') } });
	assert.deepEqual(await read(own('and back.bin')), bytes(1024));
	assert.equal((await getProperties({ path: own('and back.bin') })).contentType, 'image/png');
	await denied(copy({ source: { path: own('small.bin') }, destination: { path: 'admin/copy.bin' } }));
	await denied(copy({ source: { path: 'admin/secret.txt' }, destination: { path: own('stolen.bin') } }));
});

test('a file is removed, and a folder file by file', async () => {
	await remove({ path: own('and back.bin') });
	await assert.rejects(getProperties({ path: own('and back.bin') }), { name: 'NotFound' });
	const dir = `private/${alice}/v6.8/l/`;
	for (const { path } of (await list({ path: dir, options: { listAll: true } })).items) await remove({ path });
	assert.deepEqual((await list({ path: dir })).items, []);
});

test('keys and levels find the same files as paths', async () => {
	for (const [accessLevel, folder] of [['guest', 'public'], ['protected', `protected/${alice}`], ['private', `private/${alice}`]]) {
		await uploadData({ key: 'v6.8/level.txt', data: accessLevel, options: { accessLevel } }).result;
		assert.equal(Buffer.from(await read(`${folder}/v6.8/level.txt`)).toString(), accessLevel);
		const { items } = await list({ prefix: 'v6.8/level', options: { accessLevel, pageSize: 1 } });
		assert.deepEqual(items.map((i) => i.key), ['v6.8/level.txt']);
	}
	await copy({ source: { key: 'v6.8/level.txt', accessLevel: 'protected', targetIdentityId: alice }, destination: { key: 'v6.8/level 2.txt', accessLevel: 'private' } });
	assert.equal((await getProperties({ key: 'v6.8/level 2.txt', options: { accessLevel: 'private' } })).size, 'protected'.length);
	await remove({ key: 'v6.8/level 2.txt', options: { accessLevel: 'private' } });
	await assert.rejects(getProperties({ key: 'v6.8/level 2.txt', options: { accessLevel: 'private' } }), { name: 'NotFound' });
});

test('over https the bucket is in the name of the host', async () => {
	const tls = new URL(cubby.endpoint_tls);
	configure({ bucket: cubby.bucket, region: `localhost:${tls.port}?` });
	await uploadData({ path: own('tls.txt'), data: 'over https' }).result;
	assert.equal((await getProperties({ path: own('tls.txt') })).size, 10);
	await copy({ source: { path: own('tls.txt') }, destination: { path: own('tls copy.txt') } });
	assert.equal(Buffer.from(await read(own('tls copy.txt'))).toString(), 'over https');
	const { url } = await getUrl({ path: own('tls copy.txt') });
	assert.equal(url.host, `${cubby.bucket}.s3.localhost:${tls.port}`);
	assert.equal(await (await fetch(url)).text(), 'over https');
	for (const name of ['tls.txt', 'tls copy.txt']) await remove({ path: own(name) });
	assert.deepEqual((await list({ path: `private/${alice}/v6.8/tls` })).items, []);
	configure({ bucket: cubby.bucket, region: cubby.region, dangerouslyConnectToHttpEndpointForTesting: true });
});

test('bob, though an administrator, does not get at what is private to alice', async () => {
	await signOut();
	await login('bob');
	assert.notEqual((await fetchAuthSession()).identityId, alice);
	const hers = `private/${alice}/v6.8/small.bin`;
	await denied(downloadData({ path: hers }).result);
	await denied(uploadData({ path: hers, data: 'x' }).result);
	await denied(uploadData({ path: `protected/${alice}/v6.8/x`, data: bytes(6 << 20) }).result);
	await denied(remove({ path: hers }));
	await denied(list({ path: `private/${alice}/` }));
	await denied(getProperties({ path: hers }));
	await denied(getUrl({ path: hers, options: { validateObjectExistence: true } }));
	await denied(copy({ source: { path: hers }, destination: { path: own('stolen.bin') } }));
	const { url } = await getUrl({ path: hers });
	assert.equal((await fetch(url)).status, 403);
	assert.deepEqual(await read(`protected/${alice}/v6.8/copy of it.bin`), bytes(1024));
	await uploadData({ path: 'admin/v6.8.txt', data: 'for administrators' }).result;
	await uploadData({ path: own('mine.txt'), data: 'still mine' }).result;
});

test('a wrong password is refused, and signed out is a guest again', async () => {
	await signOut();
	await assert.rejects(signIn({ username: 'alice', password: 'wrong-password', options: { authFlowType: 'USER_PASSWORD_AUTH' } }), { name: 'NotAuthorizedException' });
	const session = await fetchAuthSession();
	assert.equal(session.tokens, undefined);
	assert.notEqual(session.identityId, alice);
	assert.equal(Buffer.from(await read('public/v6.8/level.txt')).toString(), 'guest');
	await denied(downloadData({ path: 'admin/v6.8.txt' }).result);
});
