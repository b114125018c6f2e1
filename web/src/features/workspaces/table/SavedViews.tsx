import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { useViews } from './useViews';
import { apply, isShown, queryOf, type View, withView, without } from './views';
import { t } from '../../../strings';
import { NameDialog } from '../../../ui/NameDialog';

const READY_MADE: readonly View[] = [
  { name: t.views.all, query: '' },
  { name: t.views.running, query: 'f=state%3Drunning' },
  { name: t.views.asleep, query: 'f=state%3Dhibernated&f=state%3Dstopped&any=' },
  { name: t.views.failed, query: 'f=state%3Dfailed' },
];

/** Goes to a saved filter and order of the workspaces, saves the present one, deletes one. */
export function SavedViews({
  search,
  replace,
}: {
  readonly search: URLSearchParams;
  readonly replace: (next: URLSearchParams) => void;
}) {
  const [views, save] = useViews();
  const [naming, setNaming] = useState(false);
  const own = views.find((it) => isShown(it, search));
  const ready = READY_MADE.find((it) => isShown(it, search));
  const optionOf = ({ name, query }: View) => ({ value: query, label: name });
  const shown = own ?? ready;
  return (
    <SpaceBetween direction="horizontal" size="xs" alignItems="center">
      <Select
        inlineLabelText={t.views.title}
        placeholder={t.views.none}
        expandToViewport
        selectedOption={shown === undefined ? null : optionOf(shown)}
        options={[
          ...READY_MADE.map(optionOf),
          { label: t.views.saved, options: views.map(optionOf) },
        ].filter((it) => !('options' in it) || it.options.length > 0)}
        onChange={({ detail }) => replace(apply(detail.selectedOption.value ?? '', search))}
      />
      <ButtonDropdown
        ariaLabel={t.views.actions}
        variant="icon"
        expandToViewport
        items={[
          { id: 'save', text: t.views.save },
          {
            id: 'delete',
            text: own === undefined ? t.views.remove : t.views.removeOf(own.name),
            disabled: own === undefined,
          },
        ]}
        onItemClick={({ detail }) => {
          if (detail.id === 'save') setNaming(true);
          else if (own !== undefined) save(without(views, own.name));
        }}
      />
      {naming && (
        <NameDialog
          title={t.views.save}
          label={t.fields.name}
          what={t.views.what}
          button={t.save}
          act={(name) => {
            save(withView(views, name, queryOf(search)));
            return Promise.resolve();
          }}
          close={() => setNaming(false)}
        />
      )}
    </SpaceBetween>
  );
}
