import Box from '@cloudscape-design/components/box';
import { useState } from 'react';

import type { Instance } from '../../api/client';
import { hourly } from '../../lib/format';
import { useVerbs } from '../../lib/useVerbs';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { rateOf } from './board';

/** Says what the workspaces of a class will cost, and starts them. */
export default function StartDialog({
  workspaces,
  close,
}: {
  readonly workspaces: readonly Instance[];
  readonly close: () => void;
}) {
  const run = useVerbs();
  const [list] = useState(workspaces); // those that it was opened for
  const rate = rateOf(list);
  return (
    <Dialog
      title={t.classes.startTitle(list.length)}
      button={t.verbs.start}
      act={() => run('start', list)}
      close={close}
    >
      <Box>{t.classes.startCost(rate === null ? null : hourly(rate))}</Box>
    </Dialog>
  );
}
