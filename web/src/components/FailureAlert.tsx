import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';

import type { Instance } from '../api/client';
import { allows } from '../lib/states';
import { useVerbs } from '../lib/useVerbs';
import { t } from '../strings';
import { Remediation } from './Remediation';

/** Why a workspace is not what was wanted. */
export function FailureAlert({ instance }: { readonly instance: Instance }) {
  const run = useVerbs();
  const { failure, name } = instance;
  if (failure === null) return null;
  const again = allows(instance, 'start') ? (
    <Button onClick={() => void run('start', [name])}>{t.tryAgain}</Button>
  ) : undefined;
  return (
    <Alert type="error" header={t.workspace.failed(failure.code)} action={again}>
      <Remediation text={failure.message} />
    </Alert>
  );
}
