import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { actions } from '../../api/actions';
import type { Instance } from '../../api/client';
import { useFollow } from '../../lib/follow';
import { allows } from '../../lib/states';
import { useVerbs } from '../../lib/useVerbs';
import { t } from '../../strings';
import { useNotify } from '../../ui/Notifications';
import { Remediation } from '../../ui/Remediation';

/** Why a workspace is not what was wanted. */
export function FailureAlert({ instance }: { readonly instance: Instance }) {
  const run = useVerbs();
  const { notify, failed } = useNotify();
  const follow = useFollow();
  const { failure, name } = instance;
  if (instance.unreachable != null)
    return (
      <Alert type="warning" header={t.workspace.unreachable}>
        <Remediation text={instance.unreachable} />
      </Alert>
    );
  if (instance.state === 'terminated')
    return (
      <Alert
        type="info"
        header={t.workspace.gone}
        action={
          <Button
            href={`/launch?template=${encodeURIComponent(instance.template)}`}
            onFollow={follow}
          >
            {t.workspace.another(instance.template)}
          </Button>
        }
      />
    );
  if (failure === null) return null;
  const neverReady = instance.launch_progress < 100;
  const byTemplate = async () => {
    try {
      await actions.startByTemplate(instance.workspace);
      notify({ type: 'success', header: t.started('start', [name]) });
    } catch (error) {
      failed(t.cannot('start', [name]), error as Error);
    }
  };
  const again = allows(instance, 'start') ? (
    <SpaceBetween size="xs">
      <Button onClick={() => void run('start', [instance])}>{t.tryAgain}</Button>
      {neverReady && <Button onClick={() => void byTemplate()}>{t.templateAgain}</Button>}
    </SpaceBetween>
  ) : undefined;
  return (
    <Alert type="error" header={t.workspace.failed(failure.code)} action={again}>
      <Remediation text={failure.message} />
    </Alert>
  );
}
