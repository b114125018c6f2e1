import Box from '@cloudscape-design/components/box';
import Header from '@cloudscape-design/components/header';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import type { ReactNode } from 'react';

import { t } from '../strings';

/** A whole list under its title, with how many there are and what can be done. */
export function ListTable<T>({
  title,
  what,
  items,
  by,
  empty,
  actions,
  columns,
}: {
  readonly title: string;
  readonly what?: string;
  readonly items: readonly T[];
  /** The field that tells them apart. */
  readonly by?: keyof T & string;
  readonly empty?: string;
  readonly actions?: ReactNode;
  readonly columns: readonly TableProps.ColumnDefinition<T>[];
}) {
  return (
    <Table<T>
      header={
        <Header
          variant="h2"
          counter={`(${items.length})`}
          {...(what === undefined ? {} : { description: what })}
          actions={actions}
        >
          {title}
        </Header>
      }
      items={items}
      {...(by === undefined ? {} : { trackBy: by })}
      wrapLines
      ariaLabels={{ tableLabel: title }}
      {...(empty === undefined ? {} : { empty: <Box color="text-body-secondary">{empty}</Box> })}
      columnDefinitions={columns}
    />
  );
}

/** The column that names each of them. */
export function nameColumn<T extends { readonly name: string }>(
  cell: (it: T) => ReactNode = (it) => it.name,
): TableProps.ColumnDefinition<T> {
  return { id: 'name', header: t.fields.name, minWidth: 130, isRowHeader: true, cell };
}
