import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';

import { ErrorDetails } from '../ui/ErrorAlert';
import { t } from '../strings';
import { AloneOnPage } from './LoginPage';

/** The page if the daemon does not answer. */
export function Unavailable({
  error,
  retry,
}: {
  readonly error: Error;
  readonly retry: () => void;
}) {
  return (
    <AloneOnPage title={t.product}>
      <Alert
        type="error"
        header={error.message}
        action={<Button onClick={retry}>{t.tryAgain}</Button>}
      >
        <ErrorDetails error={error} />
      </Alert>
    </AloneOnPage>
  );
}
