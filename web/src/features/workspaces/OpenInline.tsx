import Button from '@cloudscape-design/components/button';
import { useQuery, useQueryClient } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { openings } from '../../lib/services';
import { mayManage, reachesServices, useMe } from '../../lib/me';
import { t } from '../../strings';
import { useNotify } from '../../ui/Notifications';

/** Opens a row's main service; its address is only asked for then, not for every row. */
export function OpenInline({ instance }: { readonly instance: Instance }) {
  const client = useQueryClient();
  const { notify, failed } = useNotify();
  const { data: templates } = useQuery(queries.templates);
  const { name, template } = instance;
  const me = useMe();
  const { data: projects = [] } = useQuery(queries.projects);
  if (!reachesServices(me) || !mayManage(me, instance, projects)) return null;
  if (instance.state !== 'running' || templates === undefined) return null;
  if (templates.some((it) => it.name === template && it.services.length === 0)) return null;
  const open = async () => {
    const tab = window.open('about:blank'); // at once: a later one would be a blocked popup
    if (tab === null) {
      notify({ type: 'warning', header: t.workspace.popupBlocked(name) });
      return;
    }
    try {
      const [connection, ways] = await Promise.all([
        client.query(queries.connection(instance.workspace)),
        client.query(queries.ports(instance.workspace)),
      ]);
      const [main] = openings(connection, ways);
      if (main === undefined) {
        tab.close();
        notify({ type: 'warning', header: t.workspace.nothingToOpen(name) });
        return;
      }
      tab.opener = null;
      tab.location.href = main.href;
    } catch (error) {
      tab.close();
      failed(t.workspace.openFailed(name), error as Error);
    }
  };
  return (
    <Button
      variant="inline-link"
      iconName="external"
      iconAlign="right"
      ariaLabel={t.workspace.openNamed(name)}
      onClick={() => void open()}
    >
      {t.workspace.openShort('')}
    </Button>
  );
}
