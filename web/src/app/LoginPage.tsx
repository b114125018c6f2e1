import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';

import { actions } from '../api/actions';
import type { Schemas } from '../api/client';
import { queries } from '../api/queries';
import { ErrorAlert } from '../ui/ErrorAlert';
import { Loaded } from '../ui/Loaded';
import { Remediation } from '../ui/Remediation';
import { t } from '../strings';
import { useLoginSecret } from './loginSecret';

/** The path to go on with; another page can only name the way to an app, which asks the daemon. */
function goal(): string {
  if (location.pathname !== '/login') return location.pathname + location.search;
  const to = new URLSearchParams(location.search).get('to') ?? '/';
  return to.startsWith('/auth/app?') ? to : '/';
}

/** Go on where the login was asked for; everything is read anew, as the person who came in. */
function goOn(): void {
  if (location.pathname === '/login') location.replace(goal());
  else location.reload();
}

/** How a person comes in; `secret` is that of a one-time link, if a page has taken it already. */
export function LoginPage({ secret: given }: { readonly secret?: string }) {
  const ways = useQuery(queries.loginWays);
  const secret = useLoginSecret();
  return (
    <AloneOnPage title={t.login.title}>
      <Loaded query={ways} what={t.login.title}>
        {(found) => <Ways ways={found} secret={given ?? secret} />}
      </Loaded>
    </AloneOnPage>
  );
}

/** Logs out after a click: a link of another page leads here, and shall do nothing. */
export function LogoutPage() {
  const [error, setError] = useState<Error | null>(null);
  const [provider, setProvider] = useState<string | null>(null);
  const leave = () => {
    actions.logOut().then(({ provider_url }) => {
      if (provider_url === null) location.replace('/login');
      else setProvider(provider_url);
    }, setError);
  };
  if (provider !== null) return <LoggedOut provider={provider} />;
  return (
    <AloneOnPage title={t.login.out}>
      {error !== null && <ErrorAlert error={error} />}
      <Box>{t.login.outWhat}</Box>
      <Button variant="primary" onClick={leave}>
        {t.login.out}
      </Button>
    </AloneOnPage>
  );
}

/** The provider still knows the person, so that the next login there asks for no password. */
function LoggedOut({ provider }: { readonly provider: string }) {
  return (
    <AloneOnPage title={t.login.isOut}>
      <Box>{t.login.providerKnows(new URL(provider).host)}</Box>
      <SpaceBetween direction="horizontal" size="xs">
        <Button variant="primary" onClick={() => location.assign(provider)}>
          {t.login.outThere}
        </Button>
        <Button href="/login">{t.login.again}</Button>
      </SpaceBetween>
    </AloneOnPage>
  );
}

/** A page without anything around it. */
export function AloneOnPage({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ReactNode;
}) {
  return (
    <main>
      <Box padding="xxl" margin="n">
        <Container header={<Header variant="h1">{title}</Header>}>
          <SpaceBetween size="l">{children}</SpaceBetween>
        </Container>
      </Box>
    </main>
  );
}

function MailForm({ onError }: { readonly onError: (problem: Error | null) => void }) {
  const [email, setEmail] = useState('');
  const [answer, setAnswer] = useState('');
  const request = () => {
    onError(null);
    actions.mailLoginLink(email).then(({ message }) => setAnswer(message), onError);
  };
  if (answer !== '') return <Alert type="info">{answer}</Alert>;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        request();
      }}
    >
      <SpaceBetween size="s">
        <FormField label={t.login.email} description={t.login.mailWhat}>
          <Input
            type="email"
            autoComplete="email"
            value={email}
            onChange={({ detail }) => setEmail(detail.value)}
          />
        </FormField>
        <Button variant="primary" disabled={email === ''}>
          {t.login.mail}
        </Button>
      </SpaceBetween>
    </form>
  );
}

function AccountForm({
  busy,
  onLogin,
}: {
  readonly busy: boolean;
  readonly onLogin: (body: Schemas['AccountRequest']) => void;
}) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onLogin({ name, password });
      }}
    >
      <SpaceBetween size="s">
        <FormField label={t.login.account} description={t.login.accountWhat}>
          <Input
            autoComplete="username"
            value={name}
            onChange={({ detail }) => setName(detail.value)}
          />
        </FormField>
        <FormField label={t.login.password}>
          <Input
            type="password"
            autoComplete="current-password"
            value={password}
            onChange={({ detail }) => setPassword(detail.value)}
          />
        </FormField>
        <Button variant="primary" loading={busy} disabled={name === '' || password === ''}>
          {t.login.withAccount}
        </Button>
      </SpaceBetween>
    </form>
  );
}

function Ways({ ways, secret }: { readonly ways: Schemas['LoginWays']; readonly secret: string }) {
  const [token, setToken] = useState('');
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  if (!ways.shared) return <Alert type="info">{t.login.alone}</Alert>;
  if (ways.problem !== null) {
    return (
      <Alert type="error" header={t.login.impossible}>
        {ways.problem}
      </Alert>
    );
  }
  const follow = (login: Promise<unknown>) => {
    setBusy(true);
    login.then(goOn, (problem: unknown) => {
      setError(problem as Error);
      setBusy(false);
    });
  };
  const logIn = (body: Schemas['LoginRequest']) => follow(actions.logIn(body));
  const goToProvider = async (name: string) => {
    try {
      const { url } = await actions.beginProviderLogin(goal(), name);
      location.assign(url);
    } catch (problem) {
      setError(problem as Error);
    }
  };
  return (
    <SpaceBetween size="l">
      {ways.user !== null && <Alert type="info">{t.login.already(ways.user)}</Alert>}
      {error !== null && <ErrorAlert error={error} />}
      {secret !== '' && (
        <SpaceBetween size="s">
          <Box>{t.login.linkWhat}</Box>
          <Button variant="primary" loading={busy} onClick={() => logIn({ link: secret })}>
            {t.login.link}
          </Button>
        </SpaceBetween>
      )}
      {ways.mailed_links && secret === '' && <MailForm onError={setError} />}
      {ways.accounts && (
        <AccountForm busy={busy} onLogin={(body) => follow(actions.logInWithAccount(body))} />
      )}
      {ways.providers.map(({ name, label }, index) => (
        <Button
          key={name}
          variant={secret === '' && index === 0 ? 'primary' : 'normal'}
          onClick={() => void goToProvider(name)}
        >
          {t.login.with(label)}
        </Button>
      ))}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          logIn({ token });
        }}
      >
        <SpaceBetween size="s">
          <FormField label={t.login.token} description={t.login.tokenWhat}>
            <Input
              type="password"
              autoComplete={false}
              value={token}
              onChange={({ detail }) => setToken(detail.value)}
            />
          </FormField>
          <Button disabled={token === ''} loading={busy && secret === ''}>
            {t.login.withToken}
          </Button>
        </SpaceBetween>
      </form>
      <Remediation text={t.login.ask} />
    </SpaceBetween>
  );
}
