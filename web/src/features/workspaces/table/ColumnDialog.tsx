import Checkbox from '@cloudscape-design/components/checkbox';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { t } from '../../../strings';
import { Dialog } from '../../../ui/Dialog';
import type { ColumnChoice } from './useColumns';

/** Chooses which columns are shown; the name always is. */
export default function ColumnDialog({
  columns,
  labels,
  choose,
  close,
}: {
  readonly columns: readonly ColumnChoice[];
  readonly labels: ReadonlyMap<string, string>;
  readonly choose: (columns: readonly ColumnChoice[]) => void;
  readonly close: () => void;
}) {
  const [list, setList] = useState(columns);
  return (
    <Dialog
      title={t.workspaces.columns}
      button={t.workspaces.apply}
      ready
      act={() => {
        choose(list);
        return Promise.resolve();
      }}
      close={close}
    >
      <SpaceBetween size="xs">
        {list.map(({ id, visible }) => (
          <Checkbox
            key={id}
            checked={visible}
            disabled={id === 'name'}
            onChange={({ detail }) =>
              setList(list.map((it) => (it.id === id ? { id, visible: detail.checked } : it)))
            }
          >
            {labels.get(id) ?? id}
          </Checkbox>
        ))}
      </SpaceBetween>
    </Dialog>
  );
}
