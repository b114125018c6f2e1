import Button from '@cloudscape-design/components/button';

import type { Instance } from '../../api/client';
import { useAccess } from '../../lib/services';
import { t } from '../../strings';

/** Opens the main service of a running workspace in a tab of its own. */
export function OpenButton({ instance }: { readonly instance: Instance }) {
  const main = useAccess(instance).data?.services[0];
  if (main === undefined) return null;
  return (
    <Button
      variant="primary"
      href={main.href}
      target="_blank"
      rel="noopener noreferrer"
      iconName="external"
      iconAlign="right"
      ariaLabel={t.workspace.openService(main.service, instance.name)}
    >
      {t.workspace.openShort(main.service)}
    </Button>
  );
}
