// A real identity provider for tests: the certified oidc-provider, with a page
// that lets one pick a person instead of proving anything. Loopback only.
//
// IDP_OPTIONS is JSON:
//   address          host:port to listen on; the issuer is http://address
//   clients          client metadata as in OpenID Connect Dynamic Registration
//   accounts         {subject: {claim: value}}
//   claimsInIDToken  true: scopes fill the ID token; false: only userinfo
//   idTokenTTL       seconds
//   levels           {subject: {acr, amr}}: how a person signs in whom a client
//                    asks for that level (acr_values); others only as ever
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { interactionPolicy } from 'oidc-provider';

const options = JSON.parse(process.env.IDP_OPTIONS);
const accounts = new Map(Object.entries(options.accounts));

const signingKeys = ['RS256', 'ES256'].map((alg) => {
  const { privateKey } = alg === 'RS256'
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomBytes(8).toString('hex') };
});

// A person who is signed in already, at another level than is asked for, signs
// in anew, once.
const levels = options.levels || {};
const policy = interactionPolicy.base();
policy.get('login').checks.add(new interactionPolicy.Check(
  'level', 'another level is asked for', 'login_required',
  ({ oidc }) => {
    const asked = oidc.params.acr_values;
    const met = !asked || oidc.result?.login || asked.split(' ').includes(oidc.session.acr);
    return met ? interactionPolicy.Check.NO_NEED_TO_PROMPT : interactionPolicy.Check.REQUEST_PROMPT;
  },
));

function login(accountId, params) {
  const level = levels[accountId];
  const asked = (params.acr_values || '').split(' ');
  return { login: level && asked.includes(level.acr) ? { accountId, ...level } : { accountId } };
}

const provider = new Provider(`http://${options.address}`, {
  clients: options.clients,
  jwks: { keys: signingKeys },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  pkce: { required: () => true, methods: ['S256'] },
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: {
    openid: ['sub', 'sid', 'amr'],
    profile: ['name', 'preferred_username', 'department'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  conformIdTokenClaims: !options.claimsInIDToken,
  ttl: { IdToken: options.idTokenTTL || 3600 },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource(ctx, form) {
        ctx.body = page('Sign out?', `${form}<button form="op.logoutForm" name="logout" value="yes">Yes, sign out</button>`);
      },
      postLogoutSuccessSource(ctx) {
        ctx.body = page('Signed out', '');
      },
    },
  },
  acrValues: Object.values(levels).map(({ acr }) => acr),
  interactions: { policy, url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  async findAccount(ctx, sub) {
    if (!accounts.has(sub)) return undefined;
    return { accountId: sub, claims: async () => ({ ...accounts.get(sub), sub }) };
  },
  // Everybody has agreed already: the tests are about signing in.
  async loadExistingGrant(ctx) {
    const { client, session, params } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(params.scope);
    await grant.save();
    return grant;
  },
});

function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}</html>`;
}

function escape(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function pickAPerson(uid) {
  const buttons = [...accounts.keys()].map((sub) => (
    `<p><button name="account" value="${escape(sub)}">${escape(sub)}</button></p>`));
  return page('Pick a person', `<form method="post" action="/interaction/${uid}">
    ${buttons.join('\n')}<p><button name="deny" value="yes">Nobody</button></p></form>`);
}

async function interaction(req, res) {
  const { uid, params, session } = await provider.interactionDetails(req, res);
  let chosen = params.login_hint || session?.accountId;
  if (req.method === 'POST') {
    let body = '';
    for await (const chunk of req) body += chunk;
    const form = new URLSearchParams(body);
    if (form.has('deny')) {
      await provider.interactionFinished(req, res, { error: 'access_denied' });
      return;
    }
    chosen = form.get('account');
  }
  if (accounts.has(chosen)) {
    await provider.interactionFinished(req, res, login(chosen, params));
    return;
  }
  res.setHeader('Content-Type', 'text/html; charset=utf-8');
  res.end(pickAPerson(uid));
}

const answer = provider.callback();
const [host, port] = options.address.split(':');
createServer((req, res) => {
  if (!req.url.startsWith('/interaction/')) {
    answer(req, res);
    return;
  }
  interaction(req, res).catch((err) => {
    res.statusCode = 400;
    res.end(String(err));
  });
}).listen(Number(port), host);
