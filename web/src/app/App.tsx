import { I18nProvider } from '@cloudscape-design/components/i18n';
import messages from '@cloudscape-design/components/i18n/messages/all.en';
import { lazy, type ReactNode, Suspense } from 'react';
import { useLocation } from 'react-router';

import { ApiError } from '../api/errors';
import { Notifications } from '../ui/Notifications';
import { LiveProvider } from '../live/LiveProvider';
import { Shell } from './Shell';

// A daemon of one person never shows them.
const LoginPage = lazy(async () => ({ default: (await import('./LoginPage')).LoginPage }));
const LogoutPage = lazy(async () => ({ default: (await import('./LoginPage')).LogoutPage }));
const TerminalPage = lazy(async () => ({
  default: (await import('./TerminalPages')).TerminalPage,
}));
const DevicePage = lazy(async () => ({ default: (await import('./TerminalPages')).DevicePage }));
const InvitationPage = lazy(async () => ({
  default: (await import('./InvitationPage')).InvitationPage,
}));
const Unavailable = lazy(async () => ({ default: (await import('./Unavailable')).Unavailable }));

export function App() {
  const { pathname } = useLocation();
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <Suspense fallback={null}>{alone(pathname) ?? <Everything />}</Suspense>
    </I18nProvider>
  );
}

/** A page without anything around it, if this is the address of one. */
function alone(pathname: string): ReactNode {
  const [, section, id] = pathname.split('/');
  if (section === 'invitations' && id !== undefined) return <InvitationPage id={id} />;
  return ALONE[pathname];
}

const ALONE: Readonly<Record<string, ReactNode>> = {
  '/login': <LoginPage />,
  '/login/terminal': <TerminalPage />,
  '/login/device': <DevicePage />,
  '/logout': <LogoutPage />,
};

function Everything() {
  return (
    <LiveProvider
      failed={(error, retry) =>
        error instanceof ApiError && error.status === 401 ? (
          <LoginPage />
        ) : (
          <Unavailable error={error} retry={retry} />
        )
      }
    >
      <Notifications>
        <Shell />
      </Notifications>
    </LiveProvider>
  );
}
