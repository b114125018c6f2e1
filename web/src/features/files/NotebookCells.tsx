import Box from '@cloudscape-design/components/box';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Cell } from './notebook';
import { t } from '../../strings';

/** The cells of a notebook with their outputs, as text and pictures. */
export function NotebookCells({ cells }: { readonly cells: readonly Cell[] }) {
  return (
    <SpaceBetween size="m">
      {cells.map((cell, index) => (
        <div key={index}>
          <Box variant="awsui-key-label">{t.files.cells[cell.kind]}</Box>
          <pre className="mono log" tabIndex={0} aria-label={t.files.cells[cell.kind]}>
            {cell.source}
          </pre>
          {cell.texts.map((text, at) => (
            <pre key={at} className="mono log" tabIndex={0} aria-label={t.files.output}>
              {text}
            </pre>
          ))}
          {cell.images.map((image, at) => (
            <img key={at} className="picture" src={image} alt={t.files.output} />
          ))}
        </div>
      ))}
    </SpaceBetween>
  );
}
