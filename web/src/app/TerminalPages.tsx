import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { useLocation } from 'react-router';

import { actions } from '../api/actions';
import type { Schemas } from '../api/client';
import { queries } from '../api/queries';
import { ErrorAlert } from '../ui/ErrorAlert';
import { Loaded } from '../ui/Loaded';
import { t } from '../strings';
import { AloneOnPage, LoginPage } from './LoginPage';

/** `prism login` on the computer of this browser asks for the rights of whoever is logged in. */
export function TerminalPage() {
  const { search } = useLocation();
  const fields = new URLSearchParams(search);
  const body = {
    port: Number(fields.get('port')),
    challenge: fields.get('challenge') ?? '',
    state: fields.get('state') ?? '',
    computer: fields.get('computer') ?? '',
  };
  return (
    <AsPerson>
      {(user) => (
        <Question
          what={t.commandLine.what(body.computer, user)}
          allow={async () => {
            const { url } = await actions.approveTerminal(body);
            location.replace(url);
            return null;
          }}
        />
      )}
    </AsPerson>
  );
}

/** A command line on another computer shows a code, which is typed here. */
export function DevicePage() {
  return <AsPerson>{(user) => <DeviceCode user={user} />}</AsPerson>;
}

/** The page for whoever is logged in; for others the login, which leads back here. */
function AsPerson({ children }: { readonly children: (user: string) => ReactNode }) {
  const ways = useQuery(queries.loginWays);
  if (ways.data?.shared === true && ways.data.user === null) return <LoginPage />;
  return (
    <AloneOnPage title={t.commandLine.title}>
      <Loaded query={ways} what={t.commandLine.title}>
        {({ user, shared }) =>
          shared && user !== null ? children(user) : <Alert type="info">{t.login.alone}</Alert>
        }
      </Loaded>
    </AloneOnPage>
  );
}

function DeviceCode({ user }: { readonly user: string }) {
  const [code, setCode] = useState('');
  const [waiting, setWaiting] = useState<Schemas['DeviceLoginShown'] | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const find = () => {
    actions.findDeviceLogin(code).then((found) => {
      setError(null);
      setWaiting(found);
    }, setError);
  };
  const answer = async (allow: boolean) => {
    const { message } = await actions.answerDeviceLogin({ user_code: code, allow });
    return message;
  };
  if (waiting !== null) {
    return (
      <Question
        what={t.commandLine.deviceWhat(waiting.computer, waiting.address, user)}
        allow={() => answer(true)}
        deny={() => answer(false)}
      />
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        find();
      }}
    >
      <SpaceBetween size="l">
        {error !== null && <ErrorAlert error={error} />}
        <Alert type="warning">{t.commandLine.onlyYours}</Alert>
        <FormField label={t.commandLine.code} description={t.commandLine.codeWhat}>
          <Input
            autoFocus
            autoComplete={false}
            spellcheck={false}
            value={code}
            onChange={({ detail }) => setCode(detail.value)}
          />
        </FormField>
        <Button variant="primary" disabled={code === ''}>
          {t.commandLine.next}
        </Button>
      </SpaceBetween>
    </form>
  );
}

/** Whether a command line gets the rights; `allow` and `deny` resolve to what is said then. */
function Question({
  what,
  allow,
  deny,
}: {
  readonly what: string;
  readonly allow: () => Promise<string | null>;
  readonly deny?: () => Promise<string>;
}) {
  const [error, setError] = useState<Error | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const act = (call: Promise<string | null>) => {
    setBusy(true);
    call.then(
      (message) => {
        if (message !== null) setDone(message);
      },
      (problem: unknown) => {
        setError(problem as Error);
        setBusy(false);
      },
    );
  };
  if (done !== null) return <Alert type="success">{done}</Alert>;
  return (
    <SpaceBetween size="l">
      {error !== null && <ErrorAlert error={error} />}
      <Box>{what}</Box>
      <Alert type="warning">{t.commandLine.onlyYours}</Alert>
      <SpaceBetween direction="horizontal" size="xs">
        <Button variant="primary" loading={busy} onClick={() => act(allow())}>
          {t.commandLine.allow}
        </Button>
        <Button onClick={() => act(deny?.() ?? Promise.resolve(t.commandLine.notAllowed))}>
          {t.commandLine.deny}
        </Button>
      </SpaceBetween>
    </SpaceBetween>
  );
}
