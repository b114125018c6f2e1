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
const Unavailable = lazy(async () => ({ default: (await import('./Unavailable')).Unavailable }));

export function App() {
  const { pathname } = useLocation();
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <Suspense fallback={null}>{ALONE[pathname] ?? <Everything />}</Suspense>
    </I18nProvider>
  );
}

const ALONE: Readonly<Record<string, ReactNode>> = {
  '/login': <LoginPage />,
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
