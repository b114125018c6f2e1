import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';

import { ApiError, Unreachable } from '../api/errors';
import { t } from '../strings';
import { Remediation } from './Remediation';

/** What went wrong, what exists now, and what helps. */
export function ErrorAlert({
  error,
  retry,
}: {
  readonly error: Error;
  readonly retry?: (() => void) | undefined;
}) {
  return (
    <Alert
      type="error"
      header={error.message}
      action={
        retry === undefined ? undefined : (
          // In a form, it must not submit it.
          <Button formAction="none" onClick={retry}>
            {t.tryAgain}
          </Button>
        )
      }
    >
      <ErrorDetails error={error} />
    </Alert>
  );
}

/** The details and the way out, without the message. */
export function ErrorDetails({ error }: { readonly error: Error }) {
  if (error instanceof Unreachable) return <Remediation text={t.errors.startDaemon} />;
  if (!(error instanceof ApiError)) return t.errors.bug;
  return (
    <>
      {error.details !== '' && <Box variant="p">{error.details}</Box>}
      {error.remediation !== '' && <Remediation text={error.remediation} />}
    </>
  );
}
