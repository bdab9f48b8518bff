// The unmodified aws-amplify client, newest version, configured from the
// amplify_outputs.json that the server hands out. Each call is told where S3 is,
// so that the region stays what it is. One bucket has a dot in its name, and
// stands in the path therefore.
import '../process.mjs';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Amplify } from 'aws-amplify';
import { parseAmplifyConfig } from 'aws-amplify/utils';
import { fetchAuthSession, signIn } from 'aws-amplify/auth';
import { uploadData, downloadData, getUrl, list, remove, copy, getProperties } from 'aws-amplify/storage';
import { bytes, cubby, user } from '../process.mjs';

const tls = new URL(cubby.endpoint_tls);
const at = { customEndpoint: `s3.localhost:${tls.port}` };
const own = (rest) => ({ identityId }) => `private/${identityId}/outputs/${rest}`;
const text = async (path, options) => (await downloadData({ path, options }).result).body.text();

let alice;

test('the outputs of the server configure the client', async () => {
	const outputs = await (await fetch(new URL('/.well-known/cubby/amplify_outputs.json', cubby.endpoint))).json();
	const config = parseAmplifyConfig(outputs);
	assert.deepEqual(Object.keys(config.Storage.S3.buckets).sort(), ['media', 'my.bucket']);
	assert.deepEqual(config.Storage.S3.buckets['my.bucket'].paths, {
		'private/${cognito-identity.amazonaws.com:sub}/*': { entityidentity: ['get', 'list', 'write', 'delete'] },
	});
	// The parser has no words for endpoints.
	const { identity_pool_endpoint, user_pool_endpoint } = outputs.custom.cubby;
	const Cognito = { ...config.Auth.Cognito, identityPoolEndpoint: identity_pool_endpoint, userPoolEndpoint: user_pool_endpoint };
	Amplify.configure({ ...config, Auth: { Cognito } });
	await signIn({ username: 'alice', password: user('alice').password, options: { authFlowType: 'USER_PASSWORD_AUTH' } });
	alice = (await fetchAuthSession()).identityId;
});

test('with an endpoint for each call, files go up, come back and go away', async () => {
	await uploadData({ path: own('a.txt'), data: 'by endpoint', options: at }).result;
	await uploadData({ path: own('big.bin'), data: bytes(6 << 20), options: at }).result;
	assert.equal(await text(own('a.txt'), at), 'by endpoint');
	await copy({ source: { path: own('a.txt') }, destination: { path: own('b.txt') }, options: at });
	assert.equal((await getProperties({ path: own('b.txt'), options: at })).size, 11);
	const { url } = await getUrl({ path: own('b.txt'), options: at });
	assert.equal(url.host, `media.s3.localhost:${tls.port}`);
	assert.match(url.searchParams.get('X-Amz-Credential'), /\/us-east-1\/s3\/aws4_request$/);
	assert.equal(await (await fetch(url)).text(), 'by endpoint');
	const dir = `private/${alice}/outputs/`;
	const { items } = await list({ path: dir, options: { ...at, listAll: true } });
	assert.deepEqual(items.map((i) => i.path.slice(dir.length)), ['a.txt', 'b.txt', 'big.bin']);
	await remove({ path: own('a.txt'), options: at });
	await remove({ path: own(''), options: at }).result;
	assert.deepEqual((await list({ path: dir, options: at })).items, []);
});

for (const [how, options] of [
	['by its name and an endpoint', { ...at, bucket: 'my.bucket' }],
	['by a region that is a host', { bucket: { bucketName: 'my.bucket', region: `localhost:${tls.port}?` } }],
]) {
	test(`a bucket with a dot in its name is found ${how}, and a folder in it removed`, async () => {
		const { bucket, ...rest } = options;
		const dir = `private/${alice}/outputs/`;
		for (const name of ['a.txt', 'b.txt', 'deep/c & d.txt', 'deep/e.txt']) {
			await uploadData({ path: own(name), data: name, options }).result;
		}
		assert.equal(await text(own('deep/e.txt'), options), 'deep/e.txt');
		await copy({ source: { path: own('a.txt'), bucket }, destination: { path: own('copy.txt'), bucket }, options: rest });
		assert.equal((await getProperties({ path: own('copy.txt'), options })).size, 5);
		const { url } = await getUrl({ path: own('a.txt'), options });
		assert.equal(url.host, `s3.localhost:${tls.port}`);
		assert.equal(await (await fetch(url)).text(), 'a.txt');
		await remove({ path: own('a.txt'), options });
		// The client sends this as POST /?delete, without the name of the bucket.
		await remove({ path: own('deep/'), options }).result;
		const { items } = await list({ path: dir, options });
		assert.deepEqual(items.map((i) => i.path.slice(dir.length)), ['b.txt', 'copy.txt']);
		await remove({ path: own(''), options }).result;
		assert.deepEqual((await list({ path: dir, options })).items, []);
	});
}
