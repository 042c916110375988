// A job type of Flamenco 3 for scenes with neural assets: copy it into the manager's folder `scripts`.
const JOB_TYPE = {
    label: "NeAR Render",
    description: "Checks that NeAR works on a worker, then renders a chunk of frames",
    settings: [
        { key: "frames", type: "string", required: true,
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'", description: "Frames, e.g. 1-10, 15" },
        { key: "chunk_size", type: "int32", default: 10, description: "Frames of a task",
          visible: "submission" },
        { key: "quality", type: "string", choices: ["final", "draft"], default: "final",
          description: "Of the neural assets" },
        { key: "threads", type: "int32", default: 0, description: "Of NeAR on a worker, 0 for all" },
        { key: "blendfile", type: "string", required: true, eval: "bpy.data.filepath", visible: "web" },
        { key: "output", type: "string", subtype: "file_path", required: true,
          eval: "bpy.path.abspath(C.scene.render.filepath)", description: "Pictures, with # for the frame" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    for (const chunk of frameChunker(settings.frames, settings.chunk_size)) {
        const task = author.Task(`near-render-${chunk}`, "blender");
        // ends with an error where the add-on is missing or something of it does not work: nothing is drawn then
        task.addCommand(author.Command("exec", {
            exe: "{blender}", args: ["--command", "near", "check"],
        }));
        task.addCommand(author.Command("blender-render", {
            exe: "{blender}", exeArgs: "{blenderArgs}", argsBefore: [], blendfile: settings.blendfile,
            args: ["--render-output", settings.output, "--render-frame", chunk.replaceAll("-", ".."),
                   "--", "--near-quality", settings.quality, "--near-threads", String(settings.threads)],
        }));
        job.addTask(task);
    }
}
