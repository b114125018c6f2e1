import { I18nProvider } from '@cloudscape-design/components/i18n';
import messages from '@cloudscape-design/components/i18n/messages/all.en';

import { Notifications } from '../components/Notifications';
import { LiveProvider } from '../live/LiveProvider';
import { SignInUnavailable } from './SignInUnavailable';
import { Shell } from './Shell';

export function App() {
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <LiveProvider failed={(error, retry) => <SignInUnavailable error={error} retry={retry} />}>
        <Notifications>
          <Shell />
        </Notifications>
      </LiveProvider>
    </I18nProvider>
  );
}
