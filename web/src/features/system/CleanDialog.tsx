import Box from '@cloudscape-design/components/box';
import { useQuery } from '@tanstack/react-query';

import { upkeepActions } from '../../api/upkeepActions';
import { upkeepQueries } from '../../api/upkeepQueries';
import { bytes } from '../../lib/files';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { Loaded } from '../../ui/Loaded';
import { useNotify } from '../../ui/Notifications';

/** Shows what would be removed from the disk, and removes it. */
export default function CleanDialog({ close }: { readonly close: () => void }) {
  const query = useQuery(upkeepQueries.removable);
  const { notify } = useNotify();
  const act = async () => {
    const { freed_bytes: freed, free_bytes: free } = await upkeepActions.clean(false);
    notify({ type: 'success', header: t.upkeep.freed(bytes(freed), bytes(free)) });
  };
  return (
    <Dialog
      title={t.upkeep.clean}
      button={t.upkeep.free}
      ready={query.data !== undefined && query.data.freed_bytes > 0}
      act={act}
      close={close}
    >
      <Loaded query={query} what={t.upkeep.clean}>
        {({ kinds, freed_bytes: freed, free_bytes: free }) => (
          <>
            <Box>{t.upkeep.wouldFree(bytes(freed), bytes(free))}</Box>
            <ul>
              {kinds.map((it) => (
                <li key={it.kind}>{t.upkeep.kind(it.kind, it.items, bytes(it.bytes))}</li>
              ))}
            </ul>
          </>
        )}
      </Loaded>
    </Dialog>
  );
}
