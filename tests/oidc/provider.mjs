// An identity provider for tests: `oidc-provider`, with accounts named by the login name.
import Provider from 'oidc-provider';

const { port, redirect, logout } = JSON.parse(process.argv[2]);
const issuer = `http://localhost:${port}`;
const accounts = {
  eve: { email: 'eve@elsewhere.org', email_verified: true },
  mallory: { email: 'ada@example.org', email_verified: false },
};
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'prism',
      client_secret: 'a secret/with signs:',
      redirect_uris: [redirect],
      backchannel_logout_uri: logout,
      backchannel_logout_session_required: true,
    },
  ],
  claims: { openid: ['sub', 'sid'], email: ['email', 'email_verified'] },
  features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
  // It would not speak to this computer, which no provider on the internet should.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  pkce: { required: () => true },
  cookies: { keys: ['only a test'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, ...(accounts[id] ?? { email: `${id}@example.org`, email_verified: true }) }),
  }),
});
provider.on('backchannel.error', (ctx, error) => console.error('logout', error));
provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(port, '127.0.0.1', () => console.log('ready'));
