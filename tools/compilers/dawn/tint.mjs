// Every WGSL file of a folder in Dawn, whose front end is Tint: node tint.mjs FOLDER. A line each: ok or FAIL, file, what was wrong.
// The device has WebGPU's default limits and no feature.
import { create, globals } from 'webgpu';
import fs from 'node:fs';
import path from 'node:path';

Object.assign(globalThis, globals);
const folder = process.argv[2];
const gpu = create(['backend=vulkan']);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('no adapter');
console.log(`adapter\t${adapter.info.vendor} ${adapter.info.architecture} ${adapter.info.description}`);
const device = await adapter.requestDevice();
for (const file of fs.readdirSync(folder).filter(name => name.endsWith('.wgsl')).sort()) {
    const code = fs.readFileSync(path.join(folder, file), 'utf8');
    device.pushErrorScope('validation');
    device.pushErrorScope('internal');
    const module = device.createShaderModule({ code });
    const messages = (await module.getCompilationInfo()).messages.filter(m => m.type === 'error');
    let wrong = messages.map(m => `${m.lineNum}: ${m.message}`).join(' | ');
    if (!wrong) {
        try {
            await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
        } catch (error) {
            wrong = `pipeline: ${error.message || error}`;
        }
    }
    const errors = [await device.popErrorScope(), await device.popErrorScope()].filter(e => e);
    wrong ||= errors.map(e => e.message).join(' | ');
    console.log([wrong ? 'FAIL' : 'ok', file, wrong.replace(/\s+/g, ' ').slice(0, 500)].join('\t'));
}
console.log('end');
process.exit(0);
